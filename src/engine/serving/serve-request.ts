/** @file A request to the engine for one text, the tokens that are written, and the reason why it ended. */
import type { Adapter } from "../../peft/attach.ts";
import type { HeldAdapter } from "../adapters/held-adapter.ts";
import type { Grammar } from "../grammar/token-grammar.ts";
import type { Penalties } from "../sampling/penalties.ts";
import type { PromptReader } from "../prompts/prompt-reader.ts";
import type { Draw, SamplingOptions } from "../sampling/sampler.ts";
import type { TokenLogProbs } from "../sampling/token-log-probs.ts";

/** Why generation ended: a stop id, no more tokens allowed (or positions left), or the signal. */
export type FinishReason = "stop" | "length" | "aborted";

/** A text to write. */
export interface ServeRequest {
  readonly promptIds: readonly number[];
  readonly maxNewTokens: number;
  /** New tokens before which no stop id is drawn; none unless given. What follows a grammar ends where that ends. */
  readonly minNewTokens?: number;
  /** New ids that it has already, as when it was begun elsewhere: they count, and are not told again. */
  readonly writtenIds?: readonly number[];
  /** Name of the adapter, or one that the caller holds; the base alone unless given. */
  readonly adapter?: string | HeldAdapter | null;
  /** Ids that end the text. */
  readonly stopIds?: readonly number[];
  /** The likeliest token unless given. */
  readonly sampling?: SamplingOptions;
  readonly penalties?: Penalties;
  /** Takes what the model makes of the prompt, all of which then runs, also where no token is to be written. */
  readonly reader?: PromptReader;
  /** What the text has to follow. */
  readonly grammar?: Grammar | null;
  readonly seed?: number;
  /**
   * Computed alike whatever runs beside it, once `AdapterPool.prepareMany` has run: always by the products for many tokens, where the
   * arithmetic has others for few.
   */
  readonly isBatchInvariant?: boolean;
  /** How many of the likeliest tokens are told beside each; unless given no log-probability is told. */
  readonly topLogProbs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Is told the adapter that the text is written with, when it has come: it stays in memory until the text ends. */
  readonly onAdapter?: (adapter: Adapter) => void;
  /** Is shown the logits [V] before each choice; they are valid during the call alone. */
  readonly onLogits?: (logits: Float32Array) => void;
}

/** A text whose settings mean something, and whose draw is told whole. */
export interface CheckedRequest extends ServeRequest {
  readonly sampling?: Draw;
}

export interface ServedToken {
  readonly id: number;
  /** Whether it is one of the stop ids, which are no part of the text. */
  readonly isStop: boolean;
  /** Its log-probability beside those of the likeliest; null unless `topLogProbs` asks for them. */
  readonly logProbs: TokenLogProbs | null;
}

export interface ServeEnd {
  readonly finishReason: FinishReason;
  readonly numPromptTokens: number;
  readonly numNewTokens: number;
  /** Ids of the prompt that did not run: their keys and values were there. */
  readonly numCachedTokens: number;
  /** Times from the request to its first step, to its first token, and to its end. */
  readonly queueMs: number;
  readonly firstTokenMs: number;
  readonly totalMs: number;
  /** Times between its tokens that were drawn here, in their order: one less than there are. */
  readonly gapsMs: readonly number[];
}

/** The end of a text that nobody reads to its end. */
export const NO_END: ServeEnd = {
  finishReason: "aborted",
  numPromptTokens: 0,
  numNewTokens: 0,
  numCachedTokens: 0,
  queueMs: 0,
  firstTokenMs: 0,
  totalMs: 0,
  gapsMs: [],
};

/** The end of a text that was cancelled before it began. */
export function endBefore(numPromptTokens: number, waitedMs: number): ServeEnd {
  return { ...NO_END, numPromptTokens, queueMs: waitedMs, firstTokenMs: waitedMs, totalMs: waitedMs };
}
