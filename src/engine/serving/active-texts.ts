/** @file The texts that are being written, each from its start to its end: begun, drawn, ended or failed, and counted. */
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
  /** The time in milliseconds. */
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

  /** The texts of some sequences, as far as they are being written. */
  of(sequences: readonly Sequence[]): ActiveText[] {
    return sequences.flatMap((sequence) => this.#texts.get(sequence) ?? []);
  }

  /** Whether a text is still to be written. */
  isAlive({ sequence }: ActiveText): boolean {
    return this.#texts.has(sequence);
  }

  /** Notes that the first step of a text begins, if it does. */
  start(text: ActiveText): void {
    if (text.startedMs !== null) return;
    text.startedMs = this.#parts.now();
    this.countPrompt(text.sequence.numPrompt);
    this.#counts.numCachedTokens += text.sequence.numShared;
  }

  /** Counts a prompt that begins to be read. */
  countPrompt(numTokens: number): void {
    this.#counts.numPromptTokens += numTokens;
  }

  /** Draws the next token of a text from logits [V], which it changes; the text may end with it, or fail. */
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

  /** Ends a text by an error, unless it has ended. */
  fail(text: ActiveText, error: unknown): void {
    if (this.#drop(text)) text.queue.fail(error);
  }

  /** Ends all texts by an error. */
  failAll(error: unknown): void {
    for (const text of this.#texts.values()) this.fail(text, error);
  }

  /** Ends all texts before their time. */
  abort(): void {
    for (const text of this.#texts.values()) this.end(text, "aborted");
  }

  /** Forgets a text and frees its pages; false: it had ended. */
  #drop({ sequence }: ActiveText): boolean {
    if (!this.#texts.delete(sequence)) return false;
    this.#parts.scheduler.remove(sequence);
    this.#parts.cache.forget(sequence);
    this.#counts.numPreemptions += sequence.numPreemptions;
    return true;
  }
}
