/** @file Log-probabilities of tokens as chat clients read them. */
import type { Tokenizer } from "../data/tokenizer.ts";
import type { ServedToken } from "../engine/serve-request.ts";
import type { ScoredToken } from "../engine/token-log-probs.ts";

const UTF8 = new TextEncoder();

function describe(tokenizer: Tokenizer, { id, logProb }: ScoredToken): Record<string, unknown> {
  const token = tokenizer.decode([id]);
  return { token, logprob: logProb, bytes: [...UTF8.encode(token)] };
}

/** One token of a chat's answer; null: none was asked for, or it is no part of the text. */
export function chatLogProbs(
  tokenizer: Tokenizer,
  token: ServedToken | null,
): Record<string, unknown> | null {
  if (!token?.logProbs || token.isStop) return null;
  const { top, ...own } = token.logProbs;
  return {
    ...describe(tokenizer, own),
    top_logprobs: top.map((each) => describe(tokenizer, each)),
  };
}
