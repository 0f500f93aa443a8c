/** @file The option to train the rows of single tokens, with or without an adapter. */
import { z } from "zod";

const LIST = z.array(z.union([z.int().min(0), z.string().min(1)]));

/** Field of an options schema. */
export const TRAINED_TOKENS = {
  trainableTokenIndices: z
    .union([LIST, z.record(z.string(), LIST)])
    .default([])
    .describe(
      'tokens whose embedding rows (and rows of a tied head) are trained too: ids, or texts of a single token; or lists by module, as {embed_tokens: [5, "<tool>"], lm_head: [5]}',
    ),
};

/** Ids of tokens, or texts that the tokenizer has yet to convert. */
type TokenList = z.output<typeof LIST>;
/** Tokens of the embedding, or lists of tokens by module name. */
export type TrainedTokens = z.output<typeof TRAINED_TOKENS.trainableTokenIndices>;

/** Returns the nonempty lists with the names of their modules; null: the embedding, whatever its name. */
export function tokenLists(
  tokens: TrainedTokens,
): readonly (readonly [module: string | null, tokens: TokenList])[] {
  const all = Array.isArray(tokens) ? [[null, tokens] as const] : Object.entries(tokens);
  return all.filter(([, list]) => list.length > 0);
}

/** Why adapters with such rows cannot be added, in words that follow the adapter; null: there are no such rows. */
export function refuseTokens(tokens: TrainedTokens): string | null {
  return tokenLists(tokens).length > 0 ? "it trains rows of single tokens (trainable_token_indices)" : null;
}

/** Applies a function to each list of tokens. */
export function mapTokens(tokens: TrainedTokens, change: (list: TokenList) => TokenList): TrainedTokens {
  if (Array.isArray(tokens)) return change(tokens);
  return Object.fromEntries(Object.entries(tokens).map(([module, list]) => [module, change(list)]));
}
