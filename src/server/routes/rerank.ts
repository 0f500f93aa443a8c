/**
 * @file POST /v1/rerank, /v2/rerank and /rerank: sorts documents by how well they answer a query, with a cross-encoder, which
 * reads each document together with the query. The form is that of Jina, Cohere and vLLM.
 */
import {
  type ClassExample,
  type ClassOptions,
  fitClassExample,
  makeClassExample,
} from "../../data/examples/class-example.ts";
import type { z } from "zod";
import { isScore } from "../../models/config/classifier-config.ts";
import type { Model } from "../../models/model.ts";
import type { Judgement } from "../../engine/judgement.ts";
import { sigmoid } from "../../train/losses/log-sigmoid.ts";
import { RERANK_ANSWER } from "../answers/text-answers.ts";
import { ApiError, invalidValue } from "../api-error.ts";
import { type Route, defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";
import { inTurns } from "../texts/in-turns.ts";
import { usageOf } from "../texts/input-texts.ts";
import { judgeInputs } from "../texts/judge-inputs.ts";
import { encodeEnough, readTruncation } from "../texts/truncation.ts";
import { RERANK_REQUEST } from "../wire.ts";

type RerankRequest = z.output<typeof RERANK_REQUEST>;

export const RERANK_ROUTES: readonly Route[] = ["/v1/rerank", "/v2/rerank", "/rerank"].map((path) =>
  defineRoute({
    method: "post",
    path,
    summary: "Rank documents by how well they answer a query",
    access: "read",
    body: RERANK_REQUEST,
    answer: { whole: RERANK_ANSWER },
    handle: async ({ body, context, state }) => {
      const { adapter, classes } = await state.models.classifierOf(body.model);
      const { length } = classes.names;
      if (length !== 1) {
        throw invalidValue(
          `The model "${body.model}" predicts ${length} classes, expected one score`,
          "model",
        );
      }
      const examples = await readPairs(body, classes, state);
      const found = await judgeInputs(examples, adapter, { context, state, param: "documents" });
      if (found === null) return context.body(null, 400);
      const results = found.map((judgement, index) => ({
        index,
        ...(body.return_documents !== false && { document: { text: textOf(body.documents[index]!) } }),
        relevance_score: scoreOf(judgement, state.model.engine.session.model),
      }));
      const best = results.toSorted((a, b) => b.relevance_score - a.relevance_score);
      return context.json({
        id: `rerank-${state.newId()}`,
        model: body.model,
        results: best.slice(0, body.top_n || undefined),
        usage: usageOf(examples),
      });
    },
  }),
);

function textOf(document: RerankRequest["documents"][number]): string {
  return typeof document === "string" ? document : document.text;
}

/** A score from 0 to 1, or the model's own output if its configuration asks for that, as in sentence-transformers and vLLM. */
function scoreOf({ predicted, scores }: Judgement, { raw }: Pick<Model, "raw">): number {
  if (scores) return Object.values(scores)[0]!;
  return isScore(raw) ? (predicted as number) : sigmoid(predicted as number);
}

/** Pairs the query with each document. @throws ApiError 400 for a pair that is too long */
async function readPairs(
  body: RerankRequest,
  classes: ClassOptions,
  { model }: ServerState,
): Promise<readonly ClassExample[]> {
  const { maxTokens, parts } = model;
  const { tokenizer } = parts;
  const { prefixIds, suffixIds, pair } = tokenizer;
  const truncation = readTruncation(body, [prefixIds, [...pair.middle, ...pair.suffix]], maxTokens);
  const room = truncation ?? { numTokens: maxTokens, isLeft: false };
  const encode = (text: string): number[] =>
    encodeEnough(text, (some) => tokenizer.encode(some, { addSpecialTokens: false }), room);
  const perDocument = body.max_tokens_per_doc || undefined;
  const query = [...prefixIds, ...encode(body.query)];
  const before = [...query, ...pair.middle];
  return await inTurns(body.documents, (document, i) => {
    const text = textOf(document);
    // An empty document does not make a pair; transformers does the same.
    const isPair = text !== "";
    const ids = isPair
      ? [...before, ...encode(text).slice(0, perDocument), ...pair.suffix]
      : [...query, ...suffixIds];
    const tokens = { ids, ...(isPair && { secondAt: before.length }) };
    const example = makeClassExample(tokens, 0, classes, { file: "documents", line: i + 1 });
    if (ids.length <= room.numTokens) return example;
    if (truncation) return fitClassExample(example, { maxLength: room.numTokens, tokenizer, classes });
    throw new ApiError(
      400,
      "context_length_exceeded",
      `documents[${i}] and the query have at least ${ids.length} tokens, expected at most ${maxTokens}: send truncate_prompt_tokens to truncate them`,
      { param: `documents[${i}]` },
    );
  });
}
