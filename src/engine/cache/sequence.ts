/**
 * @file One text as the scheduler sees it: how many ids it has, how many of them have run, and which pages hold them.
 */
import type { PrefixKey } from "./page-pool.ts";

interface SequenceOptions extends Partial<Pick<Sequence, "submittedMs" | "isBatchInvariant">> {
  /** How many ids the text may have before its keys change; no limit unless given. */
  readonly numAlike?: number;
}

export class Sequence {
  /** The prompt, then the drawn ids. */
  readonly ids: number[];
  readonly numPrompt: number;
  readonly #root: PrefixKey | null;
  /** Ids up to which the computed keys stay valid; beyond it, all keys are rotated differently. */
  readonly #numAlike: number;
  /** Whether its pages belong to a text beyond `#numAlike`. */
  isLong: boolean;
  readonly pages: number[] = [];
  /** Number of ids whose keys and values are in the pages. */
  numComputed = 0;
  /** Ids of the prompt that were found in shared pages when the text first started. */
  numShared = 0;
  /** How often the text lost its pages to others. */
  numPreemptions = 0;
  /** Whether its result must not depend on the rows beside it, or on what other texts left in the cache. */
  readonly isBatchInvariant: boolean;
  /** When the text was requested, and when its first new id came (null: none yet), in milliseconds of one clock. */
  readonly submittedMs: number;
  firstMs: number | null = null;
  /** Number of published pages, and the key for what follows them. */
  numPublished = 0;
  next: PrefixKey | null;

  constructor(
    promptIds: readonly number[],
    root: PrefixKey | null,
    { submittedMs = 0, isBatchInvariant = false, numAlike = Infinity }: SequenceOptions = {},
  ) {
    this.ids = [...promptIds];
    this.numPrompt = promptIds.length;
    this.#root = root;
    this.#numAlike = numAlike;
    this.isLong = this.ids.length > numAlike;
    this.next = this.#start;
    this.submittedMs = submittedMs;
    this.isBatchInvariant = isBatchInvariant;
  }

  /** What its first page follows; null: pages are not shared. */
  get #start(): PrefixKey | null {
    return this.#root !== null && this.isLong ? `${this.#root} long` : this.#root;
  }

  /** Whether the computed keys are no longer valid. */
  get isOutgrown(): boolean {
    return !this.isLong && this.ids.length > this.#numAlike;
  }

  /** Forgets its pages; the text will be computed from its first id on. */
  restart(): void {
    this.numComputed = 0;
    this.numPublished = 0;
    this.isLong = this.ids.length > this.#numAlike;
    this.next = this.#start;
  }

  /** Ids that have been drawn. */
  get numNew(): number {
    return this.ids.length - this.numPrompt;
  }

  /** Ids that have not run. */
  get numPending(): number {
    return this.ids.length - this.numComputed;
  }

  /**
   * Ids that run as a prompt does, several at a time. A batch-invariant text, for which one id and several may round differently,
   * runs drawn ids one at a time again, as it did before.
   */
  get numAsPrompt(): number {
    if (!this.isBatchInvariant) return this.ids.length;
    // The ids with which the text outgrew its keys have never run one by one.
    return this.isLong ? Math.max(this.numPrompt, this.#numAlike + 1) : this.numPrompt;
  }

  /** Whether its next id runs together with one id of each of the others. */
  get isDecoding(): boolean {
    return this.numPending === 1 || this.numComputed >= this.numAsPrompt;
  }
}
