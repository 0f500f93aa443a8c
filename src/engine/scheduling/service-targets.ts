/**
 * @file The times within which texts should be written, and how much time is left to keep them.
 *
 * The n-th token after the first is due n · tokenMs after the first, whenever those between came: a text that is ahead can wait.
 */
import type { Sequence } from "../cache/sequence.ts";

/** Times within which texts are to be written, in milliseconds. */
export interface ServiceTargets {
  /** Time from the request to its first step. */
  readonly queueMs: number;
  /** Time from the request to the first token. */
  readonly firstTokenMs: number;
  /** Time from one token to the next, averaged over a text. */
  readonly tokenMs: number;
}

/** What a reader expects: Loquetier's limit for the wait in the queue, and tokens at reading speed. */
export const DEFAULT_TARGETS: ServiceTargets = { queueMs: 6000, firstTokenMs: 3000, tokenMs: 250 };

/** Texts as a policy sees them. */
export interface TextNeeds {
  readonly numRunning: number;
  readonly numWaiting: number;
  readonly maxRunning: number;
  /** Whether ids of prompts could run now. */
  readonly hasPrompts: boolean;
  /** Time until a step must begin so that no next token is late; below 0: one is late already. */
  readonly decodeSlackMs: number;
  /** The same for first tokens. */
  readonly promptSlackMs: number;
  /** Time that one id of a prompt takes. */
  readonly promptTokenMs: number;
}

/** Measured times of passes over texts. */
interface PassTimes {
  /** A pass with one token of each text. */
  readonly decodeMs: number;
  readonly promptTokenMs: number;
}

/** Texts in the order in which they came. */
interface Texts {
  readonly running: readonly Sequence[];
  readonly waiting: readonly Sequence[];
  readonly maxRunning: number;
}

/** Share of the target that is aimed at, since only the mean time of a pass is known. */
const AIM = 0.95;
/** Share of `queueMs` after which the running texts hurry for those that wait. */
const HURRY = 0.05;

/** Computes what texts need at the given time. */
export function needsOf(
  { running, waiting, maxRunning }: Texts,
  { queueMs, firstTokenMs, tokenMs }: ServiceTargets,
  { decodeMs, promptTokenMs }: PassTimes,
  nowMs: number,
): TextNeeds {
  const isFull = running.length >= maxRunning;
  const [next] = waiting;
  // Waiting texts get a place only when others end, so the running ones hurry long before the wait is too long.
  const hurries = isFull && next !== undefined && nowMs - next.submittedMs > queueMs * HURRY;
  let [decodeSlackMs, promptSlackMs, promptMs] = [Infinity, Infinity, 0];
  for (const { submittedMs, firstMs, numNew, numPending, isDecoding } of [...running, ...waiting]) {
    const dueMs = firstMs === null ? submittedMs + firstTokenMs : firstMs + numNew * tokenMs * AIM;
    if (firstMs !== null && isDecoding) {
      decodeSlackMs = Math.min(decodeSlackMs, (hurries ? 0 : dueMs - nowMs) - decodeMs);
    } else {
      promptMs += numPending * promptTokenMs;
      promptSlackMs = Math.min(promptSlackMs, dueMs - nowMs - promptMs);
    }
  }
  return {
    numRunning: running.length,
    numWaiting: waiting.length,
    maxRunning,
    hasPrompts: running.some(({ isDecoding }) => !isDecoding) || (waiting.length > 0 && !isFull),
    decodeSlackMs,
    promptSlackMs,
    promptTokenMs,
  };
}

/** Weight of a new measurement in the mean. */
const WEIGHT = 0.2;

/** Measures how long passes take. */
export class PassClock implements PassTimes {
  #decodeMs: number | null = null;
  #promptTokenMs: number | null = null;

  get decodeMs(): number {
    return this.#decodeMs ?? 0;
  }

  get promptTokenMs(): number {
    return this.#promptTokenMs ?? 0;
  }

  decoded(tookMs: number): void {
    this.#decodeMs = mean(this.#decodeMs, tookMs);
  }

  prefilled(numTokens: number, tookMs: number): void {
    this.#promptTokenMs = mean(this.#promptTokenMs, tookMs / numTokens);
  }
}

function mean(before: number | null, value: number): number {
  return before === null ? value : before + WEIGHT * (value - before);
}
