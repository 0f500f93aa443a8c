/** @file A request to the engine for one text, its written tokens, and the reason why it ended. */
import type { Adapter } from "../../peft/attach.ts";
import type { HeldAdapter } from "../adapters/held-adapter.ts";
import type { Grammar } from "../grammar/token-grammar.ts";
import type { Penalties } from "../sampling/penalties.ts";
import type { PromptReader } from "../prompts/prompt-reader.ts";
import type { Draw, SamplingOptions } from "../sampling/sampler.ts";
import type { TokenLogProbs } from "../sampling/token-log-probs.ts";

/** Why a text ended: a stop id, no more tokens allowed (or positions left), or the signal. */
export type FinishReason = "stop" | "length" | "aborted";

/** A text to write. */
export interface ServeRequest {
  readonly promptIds: readonly number[];
  readonly maxNewTokens: number;
  /** New tokens before which no stop id is drawn; 0 unless given. Ignored with a grammar, which decides where a text ends. */
  readonly minNewTokens?: number;
  /** New ids that the text already has, for instance because it began elsewhere: they count, but are not reported again. */
  readonly writtenIds?: readonly number[];
  /** Name of the adapter, or one that the caller has taken by `hold`; the base alone unless given. */
  readonly adapter?: string | HeldAdapter | null;
  /** Ids that end the text. */
  readonly stopIds?: readonly number[];
  /** How tokens are drawn; the likeliest is taken unless given. */
  readonly sampling?: SamplingOptions;
  readonly penalties?: Penalties;
  /** Reads the outputs of the blocks for the prompt; all of the prompt then runs, even if no token is to be written. */
  readonly reader?: PromptReader;
  /** The grammar that the text must follow. */
  readonly grammar?: Grammar | null;
  readonly seed?: number;
  /**
   * Whether the result must not depend on what runs beside it, provided that `AdapterPool.prepareMany` has run. The text then
   * always uses the products for many tokens, where the arithmetic has different ones for few.
   */
  readonly isBatchInvariant?: boolean;
  /** How many of the likeliest tokens are reported with each token; unless given, no log-probabilities are reported. */
  readonly topLogProbs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Receives the adapter of the text once it is in memory; it stays there until the text ends. */
  readonly onAdapter?: (adapter: Adapter) => void;
  /** Receives the logits [V] before each choice; they are valid only during the call. */
  readonly onLogits?: (logits: Float32Array) => void;
}

/** A request with checked settings, and with the settings of its draw complete. */
export interface CheckedRequest extends ServeRequest {
  readonly sampling?: Draw;
}

export interface ServedToken {
  readonly id: number;
  /** Whether it is a stop id, which is not part of the text. */
  readonly isStop: boolean;
  /** Its log-probability with those of the likeliest; null unless `topLogProbs` asks for them. */
  readonly logProbs: TokenLogProbs | null;
}

export interface ServeEnd {
  readonly finishReason: FinishReason;
  readonly numPromptTokens: number;
  readonly numNewTokens: number;
  /** Ids of the prompt that did not run, since their keys and values were cached. */
  readonly numCachedTokens: number;
  /** Times from the request to its first step, to its first token, and to its end. */
  readonly queueMs: number;
  readonly firstTokenMs: number;
  readonly totalMs: number;
  /** Times between its tokens that were drawn here, in their order: one less than there are. */
  readonly gapsMs: readonly number[];
}

/** The end of a text that its reader abandons. */
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
