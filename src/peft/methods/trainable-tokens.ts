/**
 * @file Trains only the rows of single tokens, like PEFT's TRAINABLE_TOKENS: for new tokens, or a few whose meaning should change.
 *
 *   x = Ẽ[ids]     y = h Ẽᵀ if the head is tied     Ẽ: the table E [V, D] with k of its rows replaced by R [k, D]
 *
 * `token-rows.ts` builds the rows into look-up and head; adapter methods can train such rows too.
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
  // Stored like the same rows beside an adapter; `format/adapters/token-folder` converts to peft's keys.
  result: {
    peftType: "TRAINABLE_TOKENS",
    readBy: () => "peft",
    claims: () => true,
    toConfig: ({ trainableTokenIndices }) => ({ trainable_token_indices: trainableTokenIndices }),
    fromConfig: (take) => ({ trainableTokenIndices: take("trainable_token_indices") }),
  },
});
