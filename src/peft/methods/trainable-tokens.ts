/**
 * @file Rows of single tokens and nothing else, as PEFT's TRAINABLE_TOKENS: for new tokens, or a few whose meaning is to change.
 *
 *   x = Ẽ[ids]     y = h Ẽᵀ where the head is tied     Ẽ: the table E [V, D] with R [k, D] in the place of k of its rows
 *
 * How rows stand in the graphs of look-up and head is written in `token-rows.ts`: methods of adapters train such beside theirs.
 */
import { z } from "zod";
import { defineBaseMethod } from "../define-method.ts";
import { TRAINED_TOKENS, type TrainedTokens, tokenLists } from "../trained-base/trained-tokens.ts";

interface TokenOptions {
  readonly trainableTokenIndices: TrainedTokens;
}

const OPTIONS = z
  .strictObject(TRAINED_TOKENS)
  .refine(
    ({ trainableTokenIndices: tokens }) =>
      new Set(tokenLists(tokens).map(([, list]) => list.join())).size <= 1,
    {
      path: ["trainableTokenIndices"],
      message: "expected the same tokens in each module, as in peft's TRAINABLE_TOKENS",
    },
  );

export const trainableTokens = defineBaseMethod<TokenOptions>({
  kind: "base",
  name: "trainable-tokens",
  paper: { title: "Rows of single tokens (no paper), peft's `TrainableTokensConfig`", arxiv: "none" },
  learningRate: 1e-3,
  options: OPTIONS,
  trains: [],
  trainedTokens: ({ trainableTokenIndices }) => trainableTokenIndices,
  batch: "not-batchable",
  // As the same rows beside an adapter; `format/adapters/token-folder` says it in peft's keys.
  result: {
    peftType: "TRAINABLE_TOKENS",
    readBy: () => "peft",
    claims: () => true,
    toConfig: ({ trainableTokenIndices }) => ({ trainable_token_indices: trainableTokenIndices }),
    fromConfig: (take) => ({ trainableTokenIndices: take("trainable_token_indices") }),
  },
});
