/** @file A written text as ids, with its speed. */
import type { TokenLogProbs } from "../sampling/token-log-probs.ts";
import { type FinishReason, NO_END, type ServeEnd, type ServedToken } from "../serving/serve-request.ts";
import { readToEnd } from "./read-to-end.ts";

/** How a text ended. */
export interface GenerationEnd {
  readonly finishReason: FinishReason;
  /** Prompt tokens that were still in the cache and did not run again. */
  readonly numReusedTokens: number;
}

/** All of a generation, with its speed. */
export interface Completion extends GenerationEnd {
  /** New ids; a stop id is the last of them. */
  readonly ids: readonly number[];
  /** Log-probabilities of each id, by the model's own logits; only if `topLogProbs` asks for them. */
  readonly logProbs?: readonly TokenLogProbs[];
  /** Time until the first new token, in milliseconds. */
  readonly firstTokenMs: number;
  /** New tokens per second after the first; with at most one token, over the whole time. */
  readonly tokensPerSecond: number;
}

/** Reads a text to its end; `onToken` receives each token with its index. If `onToken` throws, the text ends. */
export async function completeText(
  tokens: AsyncGenerator<ServedToken, ServeEnd, void>,
  onToken: (token: ServedToken, index: number) => void = () => {},
): Promise<Completion> {
  const ids: number[] = [];
  const logProbs: TokenLogProbs[] = [];
  try {
    const end = await readToEnd(tokens, (token) => {
      ids.push(token.id);
      if (token.logProbs) logProbs.push(token.logProbs);
      onToken(token, ids.length - 1);
    });
    const { finishReason, numCachedTokens: numReusedTokens, firstTokenMs, totalMs } = end;
    const [count, ms] = ids.length > 1 ? [ids.length - 1, totalMs - firstTokenMs] : [ids.length, totalMs];
    const tokensPerSecond = (1000 * count) / Math.max(1e-3, ms);
    const scores = logProbs.length > 0 ? { logProbs } : {};
    return { finishReason, numReusedTokens, ids, ...scores, firstTokenMs, tokensPerSecond };
  } finally {
    await tokens.return(NO_END);
  }
}
