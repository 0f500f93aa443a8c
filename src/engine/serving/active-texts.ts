/** @file The texts that are being written: starts, draws for, ends, fails and counts them. */
import type { PagedCache } from "../cache/paged-cache.ts";
import type { Sequence } from "../cache/sequence.ts";
import type { Scheduler } from "../scheduling/scheduler.ts";
import type { FinishReason } from "./serve-request.ts";
import type { ServingStats } from "./serving-options.ts";
import type { ActiveText } from "./active-text.ts";

type Counts = Pick<ServingStats, "numPromptTokens" | "numCachedTokens" | "numNewTokens" | "numPreemptions">;

interface TextsParts {
  readonly scheduler: Scheduler;
  readonly cache: PagedCache;
  /** The current time in milliseconds. */
  readonly now: () => number;
}

export class ActiveTexts {
  readonly #parts: TextsParts;
  readonly #texts = new Map<Sequence, ActiveText>();
  #counts = { numPromptTokens: 0, numCachedTokens: 0, numNewTokens: 0, numPreemptions: 0 };

  constructor(parts: TextsParts) {
    this.#parts = parts;
  }

  get isEmpty(): boolean {
    return this.#texts.size === 0;
  }

  get counts(): Counts {
    return { ...this.#counts };
  }

  add(text: ActiveText): void {
    this.#texts.set(text.sequence, text);
  }

  /** The texts of some sequences that are still being written. */
  of(sequences: readonly Sequence[]): ActiveText[] {
    return sequences.flatMap((sequence) => this.#texts.get(sequence) ?? []);
  }

  /** Whether a text is still being written. */
  isAlive({ sequence }: ActiveText): boolean {
    return this.#texts.has(sequence);
  }

  /** Records that a text's first step begins, unless an earlier one did. */
  start(text: ActiveText): void {
    if (text.startedMs !== null) return;
    text.startedMs = this.#parts.now();
    this.countPrompt(text.sequence.numPrompt);
    this.#counts.numCachedTokens += text.sequence.numShared;
  }

  /** Counts the tokens of a prompt that begins to run. */
  countPrompt(numTokens: number): void {
    this.#counts.numPromptTokens += numTokens;
  }

  /** Draws the next token of a text from logits [V], which it changes; this may end the text, or make it fail. */
  draw(text: ActiveText, logits: Float32Array): void {
    try {
      const reason = text.draw(logits);
      text.drawn(this.#parts.now());
      this.#counts.numNewTokens++;
      if (reason !== null) this.end(text, reason);
    } catch (error) {
      this.fail(text, error);
    }
  }

  /** Ends a text, unless it has ended. */
  end(text: ActiveText, finishReason: FinishReason): void {
    if (this.#drop(text)) text.end(finishReason, this.#parts.now());
  }

  /** Ends a text with an error, unless it has ended. */
  fail(text: ActiveText, error: unknown): void {
    if (this.#drop(text)) text.queue.fail(error);
  }

  /** Ends all texts with an error. */
  failAll(error: unknown): void {
    for (const text of this.#texts.values()) this.fail(text, error);
  }

  /** Ends all texts as "aborted". */
  abort(): void {
    for (const text of this.#texts.values()) this.end(text, "aborted");
  }

  /** Forgets a text and frees its pages; false: it had already ended. */
  #drop({ sequence }: ActiveText): boolean {
    if (!this.#texts.delete(sequence)) return false;
    this.#parts.scheduler.remove(sequence);
    this.#parts.cache.forget(sequence);
    this.#counts.numPreemptions += sequence.numPreemptions;
    return true;
  }
}
