/**
 * @file One text as the scheduler sees it: how many ids it has, how many of them have run, and which pages hold them.
 */
import type { PrefixKey } from "./page-pool.ts";

interface SequenceOptions extends Partial<Pick<Sequence, "submittedMs" | "isBatchInvariant">> {
  /** Default: its keys stay good however long it is. */
  readonly numAlike?: number;
}

export class Sequence {
  /** Prompt, and what has been drawn. */
  readonly ids: number[];
  readonly numPrompt: number;
  readonly #root: PrefixKey | null;
  /** Ids up to which its keys stay good: of one with more, all are rotated otherwise. */
  readonly #numAlike: number;
  /** Whether its pages are those of a text with more. */
  isLong: boolean;
  readonly pages: number[] = [];
  /** Ids whose keys and values are in the pages. */
  numComputed = 0;
  /** Ids of the prompt that were found in pages of others when it first started. */
  numShared = 0;
  /** Times that it lost its pages to others. */
  numPreemptions = 0;
  /** Whether it is to be computed alike whatever runs beside it, and whatever others have left in the cache. */
  readonly isBatchInvariant: boolean;
  /**
   * When the text was asked for, and when its first new id came; null: there is none yet. Both in milliseconds of one
   * clock.
   */
  readonly submittedMs: number;
  firstMs: number | null = null;
  /** Pages that are published, and what follows them. */
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

  /** What its first page follows; null: pages are its own alone. */
  get #start(): PrefixKey | null {
    return this.#root !== null && this.isLong ? `${this.#root} long` : this.#root;
  }

  /** Whether its keys are no good any more. */
  get isOutgrown(): boolean {
    return !this.isLong && this.ids.length > this.#numAlike;
  }

  /** Has no pages, and is to be computed from its first id on. */
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

  /** Ids that run as a prompt does; where sums of one id and of several may round otherwise, what was drawn runs as it did then. */
  get numAsPrompt(): number {
    if (!this.isBatchInvariant) return this.ids.length;
    // What it was outgrown with has never run one by one.
    return this.isLong ? Math.max(this.numPrompt, this.#numAlike + 1) : this.numPrompt;
  }

  /** Whether its next id runs with one of each of the others. */
  get isDecoding(): boolean {
    return this.numPending === 1 || this.numComputed >= this.numAsPrompt;
  }
}
