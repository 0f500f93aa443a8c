/** @file POST /v1/embeddings: turns each text into one vector. */
import type { z } from "zod";
import { MeanPool } from "../../engine/prompts/mean-pool.ts";
import { EMBEDDING_ANSWER } from "../answers/text-answers.ts";
import { ApiError, invalidValue } from "../api-error.ts";
import { defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";
import { inTurns } from "../texts/in-turns.ts";
import { requireIds } from "../texts/text-job.ts";
import { withinTime } from "../within-time.ts";
import { EMBEDDING_REQUEST } from "../wire.ts";

type EmbeddingRequest = z.output<typeof EMBEDDING_REQUEST>;

/** Texts of a request that run at a time: enough to fill the steps, and others have their turns. */
const SIDE_BY_SIDE = 8;

export const embeddings = defineRoute({
  method: "post",
  path: "/v1/embeddings",
  summary: "Embed texts: the mean of their hidden states after the final norm, scaled to length 1",
  access: "read",
  body: EMBEDDING_REQUEST,
  answer: { whole: EMBEDDING_ANSWER },
  handle: async ({ body, context, state }) => {
    const adapter = await state.models.adapterOf(body.model);
    const inputs = await readInputs(body, state);
    requireDimensions(body, state);
    const release = state.places.take([{ promptIds: inputs.flat(), maxNewTokens: 0 }]);
    const { signal: gone } = context.req.raw;
    const found: Float32Array[] = [];
    try {
      await withinTime(state, gone, async (signal) => {
        const embed = async (promptIds: readonly number[]): Promise<Float32Array> => {
          const reader = new MeanPool();
          const job = { promptIds, adapter, signal, reader };
          await state.metrics.count(adapter ?? state.name, () => state.model.read(job));
          signal.throwIfAborted();
          return reader.embedding;
        };
        for (let from = 0; from < inputs.length; from += SIDE_BY_SIDE) {
          found.push(...(await Promise.all(inputs.slice(from, from + SIDE_BY_SIDE).map(embed))));
        }
      });
    } catch (error) {
      // A client that has gone away gets no answer, and that is no error.
      if (gone.aborted) return context.body(null, 400);
      throw error;
    } finally {
      release();
    }
    const numTokens = inputs.reduce((sum, { length }) => sum + length, 0);
    return context.json({
      object: "list",
      model: body.model,
      data: found.map((values, index) => ({
        object: "embedding",
        index,
        embedding: body.encoding_format === "base64" ? toBase64(values) : [...values],
      })),
      usage: { prompt_tokens: numTokens, total_tokens: numTokens },
    });
  },
});

/** The ids of each input. @throws ApiError 400 for one that is empty or too long */
async function readInputs({ input }: EmbeddingRequest, state: ServerState): Promise<number[][]> {
  const { model } = state;
  const list = typeof input === "string" || typeof input[0] === "number" ? [input] : input;
  return await inTurns(list as (string | number[])[], (each, i) => {
    const param = list.length === 1 ? "input" : `input[${i}]`;
    const requireRoom = (numTokens: number, told: string): void => {
      if (numTokens <= model.maxTokens) return;
      throw new ApiError(
        400,
        "context_length_exceeded",
        `${param} has ${told} tokens, expected at most ${model.maxTokens}`,
        { param },
      );
    };
    const ids =
      typeof each === "string"
        ? model.encodePrompt(each, (fewest) => requireRoom(fewest, `at least ${fewest}`))
        : each;
    requireIds(ids, param, state);
    requireRoom(ids.length, `${ids.length}`);
    return ids;
  });
}

/** @throws ApiError 400 for another number than the model has: its numbers are not in an order of weight */
function requireDimensions({ dimensions }: EmbeddingRequest, { model }: ServerState): void {
  const { width } = model.engine.session.model;
  if (dimensions == null || dimensions === width) return;
  throw invalidValue(`Embeddings of this model have ${width} numbers: leave dimensions out`, "dimensions");
}

function toBase64(values: Float32Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
}
