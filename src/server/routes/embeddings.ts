/** @file POST /v1/embeddings: turns each text into one vector. */
import type { z } from "zod";
import { MeanPool } from "../../engine/prompts/mean-pool.ts";
import { EMBEDDING_ANSWER } from "../answers/text-answers.ts";
import { invalidValue } from "../api-error.ts";
import { defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";
import { readInputs, runInputs, usageOf } from "../texts/input-texts.ts";
import { EMBEDDING_REQUEST } from "../wire.ts";

type EmbeddingRequest = z.output<typeof EMBEDDING_REQUEST>;

export const embeddings = defineRoute({
  method: "post",
  path: "/v1/embeddings",
  summary: "Embed texts: the mean of their hidden states after the final norm, scaled to length 1",
  access: "read",
  body: EMBEDDING_REQUEST,
  answer: { whole: EMBEDDING_ANSWER },
  handle: async ({ body, context, state }) => {
    const adapter = await state.models.writerOf(body.model);
    const inputs = await readInputs(body, false, state);
    requireDimensions(body, state);
    const found = await runInputs(inputs, { context, state, param: "input" }, (some, signal) => {
      const embed = async ({ ids: promptIds }: (typeof inputs)[number]): Promise<Float32Array> => {
        const reader = new MeanPool();
        const job = { promptIds, adapter, signal, reader };
        await state.metrics.count(adapter ?? state.name, () => state.model.read(job));
        signal.throwIfAborted();
        return reader.embedding;
      };
      return Promise.all(some.map(embed));
    });
    if (found === null) return context.body(null, 400);
    return context.json({
      object: "list",
      model: body.model,
      data: found.map((values, index) => ({
        object: "embedding",
        index,
        embedding: body.encoding_format === "base64" ? toBase64(values) : [...values],
      })),
      usage: usageOf(inputs),
    });
  },
});

/**
 * @throws ApiError 400 for another number of dimensions than the model has: they are not ordered by importance, so none can be
 * dropped
 */
function requireDimensions({ dimensions }: EmbeddingRequest, { model }: ServerState): void {
  const { width } = model.engine.session.model;
  if (dimensions == null || dimensions === width) return;
  throw invalidValue(`Embeddings of this model have ${width} dimensions: leave dimensions out`, "dimensions");
}

function toBase64(values: Float32Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
}
