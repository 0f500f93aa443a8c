/**
 * @file Decides which sequences run next, and how many of their ids; counts only ids and pages.
 *
 * First come, first served. All sequences with one id to run do so together; prompts run in chunks beside them. A sequence that
 * needs a page when none is free takes those of the one admitted last. That one starts again when there is room, from its pages
 * that are still published.
 */
import { type PagePool, PAGE_TOKENS } from "../cache/page-pool.ts";
import type { Sequence } from "../cache/sequence.ts";
import type { StepShape } from "./turn-policies.ts";

/**
 * Fewest ids of a longer prompt that run at once, also after the queries that attention takes at once. A single id is summed up
 * differently from several, and the last bit of a sum may decide how products round. With this limit the result for a prompt does
 * not depend on how much of it was cached or on what ran beside it.
 */
const LEAST_CHUNK = 2;
/** Divides the number of queries that ONNX Runtime's attention takes at once (32 with heads of width 64). */
const QUERY_BLOCK = 16;

interface SchedulerOptions {
  /** Most sequences that have pages at a time. */
  readonly maxRunning: number;
  /** Most ids of prompts in one step. */
  readonly prefillTokens: number;
}

/** Ids of a prompt to run. */
interface PromptChunk {
  readonly sequence: Sequence;
  readonly count: number;
}

export interface ScheduledStep {
  readonly chunks: readonly PromptChunk[];
  /** Sequences that run one id each. */
  readonly decodes: readonly Sequence[];
}

export class Scheduler {
  readonly #pool: PagePool;
  readonly #options: SchedulerOptions;
  readonly #waiting: Sequence[] = [];
  /** In the order of admission. */
  readonly #running: Sequence[] = [];

  constructor(pool: PagePool, options: SchedulerOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  /** The texts that have pages, in the order in which they were admitted. */
  get running(): readonly Sequence[] {
    return this.#running;
  }

  get waiting(): readonly Sequence[] {
    return this.#waiting;
  }

  /** A step with all that can run. */
  get fullShape(): StepShape {
    return { decodes: true, prefillTokens: this.#options.prefillTokens };
  }

  get maxRunning(): number {
    return this.#options.maxRunning;
  }

  add(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** Forgets a sequence that has ended, and frees its pages. */
  remove(sequence: Sequence): void {
    for (const list of [this.#waiting, this.#running]) {
      const place = list.indexOf(sequence);
      if (place >= 0) list.splice(place, 1);
    }
    this.#releasePages(sequence);
  }

  /** Chooses what runs next and reserves pages for it; all that can run unless a shape limits it. */
  schedule({ decodes: runsDecodes, prefillTokens }: StepShape = this.fullShape): ScheduledStep {
    const chunks: PromptChunk[] = [];
    let budget = prefillTokens;
    // A sequence that finds no free page preempts others, which changes the list.
    for (const sequence of this.#running.slice()) {
      if (sequence.isOutgrown) this.#preempt(sequence);
      else if (this.#running.includes(sequence)) this.#reserve(sequence);
    }
    const canDecode = this.#running.filter(({ isDecoding }) => isDecoding);
    const add = (sequence: Sequence, most: number): number => {
      const count = chunkOf(sequence, most, chunks.length === 0);
      if (count > 0) chunks.push({ sequence, count });
      return count;
    };
    for (const sequence of this.#running) if (!sequence.isDecoding) budget -= add(sequence, budget);
    while (budget > 0 && this.#running.length < this.#options.maxRunning) {
      const [sequence] = this.#waiting;
      if (!sequence || !this.#admit(sequence)) break;
      this.#waiting.shift();
      this.#running.push(sequence);
      budget -= add(sequence, budget);
    }
    // If no prompt can run after all, the texts run.
    return { chunks, decodes: runsDecodes || chunks.length === 0 ? canDecode : [] };
  }

  /** Counts ids that have run, and publishes the pages that have become full. */
  computed(sequence: Sequence, count: number): void {
    sequence.numComputed += count;
    const numFull = Math.floor(Math.min(sequence.numComputed, sequence.numAsPrompt) / PAGE_TOKENS);
    while (sequence.next !== null && sequence.numPublished < numFull) {
      const place = sequence.numPublished++;
      sequence.next = this.#pool.publish(sequence.pages[place]!, sequence.next, pageIds(sequence, place));
    }
  }

  /** Reserves pages for all ids of a sequence, if need be by preempting those admitted last, which may be the sequence itself. */
  #reserve(sequence: Sequence): void {
    const numPages = pagesOf(sequence);
    while (sequence.pages.length < numPages) {
      const page = this.#pool.take();
      if (page !== null) {
        sequence.pages.push(page);
        continue;
      }
      const last = this.#running.at(-1)!;
      this.#preempt(last);
      if (last === sequence) return;
    }
  }

  #preempt(sequence: Sequence): void {
    this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#releasePages(sequence);
    sequence.numPreemptions++;
    this.#waiting.unshift(sequence);
  }

  /** Reserves pages for all ids of a waiting sequence; false: there are not enough. */
  #admit(sequence: Sequence): boolean {
    if (sequence.isOutgrown) sequence.restart();
    this.#share(sequence);
    if (pagesOf(sequence) - sequence.pages.length > this.#pool.numFree) {
      this.#releasePages(sequence);
      return false;
    }
    // A sequence that starts again finds its own pages, which do not count as shared.
    if (sequence.numPreemptions === 0)
      sequence.numShared = Math.min(sequence.numComputed, sequence.numPrompt);
    this.#reserve(sequence);
    return true;
  }

  /** Takes pages of others with the same beginning; the last ids always run, for the logits of what follows. */
  #share(sequence: Sequence): void {
    const most = sequence.numAsPrompt - LEAST_CHUNK;
    while (sequence.next !== null && sequence.numComputed + PAGE_TOKENS <= most) {
      const found = this.#pool.find(sequence.next, pageIds(sequence, sequence.numPublished));
      if (!found) return;
      sequence.pages.push(found.page);
      sequence.numComputed += PAGE_TOKENS;
      sequence.numPublished++;
      sequence.next = found.next;
    }
  }

  #releasePages(sequence: Sequence): void {
    // Releases the last page first: when memory is short, a page is evicted before the one that it follows.
    for (const page of sequence.pages.splice(0).reverse()) this.#pool.release(page);
    sequence.restart();
  }
}

/** How many ids of a prompt to run next, within `budget`; `isFirst`: not 0 unless the budget is. */
function chunkOf({ numAsPrompt, numComputed }: Sequence, budget: number, isFirst: boolean): number {
  const left = numAsPrompt - numComputed;
  if (left === 1) return Math.min(budget, 1);
  const fits = (count: number): boolean => count % QUERY_BLOCK !== 1 && left - count !== 1;
  let count = Math.min(budget, left);
  while (count > 0 && !fits(count)) count--;
  return count > 0 || !isFirst ? count : Math.min(budget, left);
}

function pagesOf({ ids }: Sequence): number {
  return Math.ceil(ids.length / PAGE_TOKENS);
}

function pageIds({ ids }: Sequence, place: number): number[] {
  return ids.slice(place * PAGE_TOKENS, (place + 1) * PAGE_TOKENS);
}
