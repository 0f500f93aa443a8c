/**
 * @file Many texts at once on one base: schedule → run → follow up, as long as there is work.
 *
 * Texts come and go between two steps; each has its adapter, its settings and its generator of random numbers. It works on
 * ids; text is the caller's business.
 */
import { CapacityError, assertInternal } from "../../errors.ts";
import { sizeAt } from "../../graph/shape.ts";
import type { Ride, Riders } from "../../run/blocks/riders.ts";
import type { Session } from "../../run/session.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { AdapterPool } from "../adapters/adapter-pool.ts";
import type { HeldAdapter, RowBatch } from "../adapters/held-adapter.ts";
import { PAGE_TOKENS, PagePool } from "../cache/page-pool.ts";
import { PagedCache, pageBytes, pagesIn, usualCacheBytes } from "../cache/paged-cache.ts";
import type { CacheLayout } from "../cache/paged-pass.ts";
import { runPaged } from "../stack/paged-stages.ts";
import { PREFILL_CHUNK, checkPrompt } from "../prompts/prompt.ts";
import { Scheduler } from "../scheduling/scheduler.ts";
import { TextInWork } from "./text-in-work.ts";
import { TextsInWork } from "./texts-in-work.ts";
import { type ReadyRows, readyRows } from "./ready-rows.ts";
import { TextRide } from "./text-ride.ts";
import { closedModel } from "../opening/closed-model.ts";
import { withTextSettings } from "./text-settings.ts";
import type { ServingOptions, ServingStats } from "./serving-options.ts";
import {
  type CheckedRequest,
  type ServeEnd,
  type ServeRequest,
  type ServedToken,
  endBefore,
} from "./serve-request.ts";
import { Sequence } from "../cache/sequence.ts";
import { DEFAULT_TARGETS, PassClock, type TextNeeds, needsOf } from "../scheduling/service-targets.ts";
import { DEFAULT_POLICY, findPolicy } from "../scheduling/turn-policies.ts";
import { Turns } from "../scheduling/turns.ts";

const DEFAULT_RUNNING = 16;

export class ServingEngine implements Riders {
  readonly session: Session;
  readonly adapters: AdapterPool;
  /** Trainings on the same base take their turns with texts here. */
  readonly turns: Turns;
  readonly #pages: PagePool;
  readonly #cache: PagedCache;
  readonly #scheduler: Scheduler;
  readonly #texts: TextsInWork;
  readonly #times = new PassClock();
  readonly #now: () => number;
  #loop: Promise<void> | null = null;
  #running: Promise<void> = Promise.resolve();
  #numSteps = 0;
  #isClosed = false;

  /** @throws CapacityError "capacity/memory" for a budget of less than one page */
  constructor(session: Session, adapters: AdapterPool, options: ServingOptions) {
    const { maxRunning = DEFAULT_RUNNING, prefillTokens = PREFILL_CHUNK } = options;
    const { cacheBytes = usualCacheBytes(session.model) } = options;
    const { policy = findPolicy(DEFAULT_POLICY), targets = DEFAULT_TARGETS } = options;
    const { now = () => performance.now() } = options;
    this.#now = now;
    this.session = session;
    this.adapters = adapters;
    const numPages = pagesIn(cacheBytes, session.model);
    const { keptBytes = cacheBytes } = options;
    this.#pages = new PagePool(numPages, Math.floor(keptBytes / pageBytes(session.model)));
    this.#cache = new PagedCache(session.model, numPages);
    this.#scheduler = new Scheduler(this.#pages, { maxRunning, prefillTokens });
    this.#texts = new TextsInWork({ scheduler: this.#scheduler, cache: this.#cache, now });
    const needs = (): TextNeeds => needsOf(this.#scheduler, targets, this.#times, now());
    this.turns = new Turns({ policy, needs, now });
  }

  /** Tokens that the cache holds. */
  get capacityTokens(): number {
    return this.#pages.numPages * PAGE_TOKENS;
  }

  /** Texts that have pages at a time. */
  get maxRunning(): number {
    return this.#scheduler.maxRunning;
  }

  get stats(): ServingStats {
    return {
      ...this.#texts.counts,
      numSteps: this.#numSteps,
      numRunning: this.#scheduler.running.length,
      numWaiting: this.#scheduler.waiting.length,
      numPages: this.#pages.numPages,
      numPagesHeld: this.#pages.numHeld,
    };
  }

  /**
   * Writes a text; stopping to read ends it.
   * @throws UsageError "usage/shape" for a prompt that is empty, too long or of foreign ids, "usage/flag" for settings that mean
   * nothing, "usage/adapter" for an adapter that is not known, "usage/state" after `close`; CapacityError "capacity/memory" for a text that the cache cannot hold; FailedError "engine/nan"
   */
  async *write(given: ServeRequest): AsyncGenerator<ServedToken, ServeEnd, void> {
    this.#requireOpen();
    const request = withTextSettings(given);
    const submittedMs = this.#now();
    const { model } = this.session;
    const { promptIds, adapter = null, maxNewTokens, signal } = request;
    checkPrompt(model, [...promptIds, ...(request.writtenIds ?? [])]);
    // The last token needs no position: nothing follows it.
    const maxLength = Math.min(promptIds.length + maxNewTokens, model.maxKeptPositions + 1);
    this.#requireRoom(maxLength);
    const isNamed = typeof adapter === "string";
    const held = isNamed ? await this.adapters.acquire(adapter, signal) : adapter;
    if (isNamed && !held) return endBefore(promptIds.length, this.#now() - submittedMs);
    try {
      if (held) request.onAdapter?.(held.adapter);
      return yield* this.#writeWith(held, request, maxLength, submittedMs);
    } finally {
      if (held && isNamed) this.adapters.release(held);
    }
  }

  /** Writes a text with an adapter that is in memory. */
  async *#writeWith(
    held: HeldAdapter | null,
    request: CheckedRequest,
    maxLength: number,
    submittedMs: number,
  ): AsyncGenerator<ServedToken, ServeEnd, void> {
    const { promptIds, signal, isBatchInvariant = false } = request;
    const isPerPrompt = await this.adapters.rows.isPerPrompt(held);
    // What was cached is not run again, and nobody would read it.
    const isShared = !isPerPrompt && !request.reader;
    // Tokens that another text was given may have been computed by products for few.
    const isApart = isBatchInvariant && this.session.compute.many !== undefined;
    const root = `${held?.key ?? "base"}${isApart ? " alike" : ""}`;
    const sequence = new Sequence(promptIds, isShared ? root : null, {
      submittedMs,
      isBatchInvariant: isBatchInvariant && !this.session.compute.isExact,
    });
    const text = new TextInWork(request, { sequence, held, maxLength });
    const abort = (): void => this.#texts.end(text, "aborted");
    try {
      this.#texts.add(text);
      if (signal?.aborted || this.#isClosed) abort();
      else if (maxLength <= sequence.ids.length && !request.reader) this.#texts.end(text, "length");
      else {
        signal?.addEventListener("abort", abort);
        this.#scheduler.add(sequence);
        this.#loop ??= this.#run();
      }
      return yield* text.queue.take();
    } finally {
      this.#texts.end(text, "aborted");
      signal?.removeEventListener("abort", abort);
    }
  }

  #requireOpen(): void {
    this.session.requireOpen("write a text");
    if (this.#isClosed) throw closedModel("write a text", this.session.base.name);
  }

  #requireRoom(length: number): void {
    const needed = Math.ceil(length / PAGE_TOKENS);
    if (needed <= this.#pages.numPages) return;
    throw new CapacityError(
      "capacity/memory",
      `Cannot write a text of up to ${length} tokens: the cache holds ${this.#pages.numPages * PAGE_TOKENS}`,
      { hint: "Ask for fewer new tokens, or give the cache more memory." },
    );
  }

  async #run(): Promise<void> {
    try {
      while (!this.#texts.isEmpty) {
        await this.turns.take("step");
        try {
          await (this.#running = this.#step());
        } finally {
          this.turns.giveBack();
        }
      }
    } finally {
      this.#loop = null;
    }
  }

  /** Waits for the step that runs, if any: a text that has ended is in no later one. */
  async afterStep(): Promise<void> {
    await this.#running.catch(() => {});
  }

  async #step(): Promise<void> {
    const { chunks, decodes } = this.#scheduler.schedule(
      this.turns.shape(this.#scheduler.fullShape.prefillTokens),
    );
    const isIdle = chunks.length === 0 && decodes.length === 0;
    assertInternal(!isIdle || this.#texts.isEmpty, "something runs while there are texts to write");
    this.#numSteps++;
    for (const { sequence, count } of chunks) {
      const [text] = this.#texts.of([sequence]);
      if (!text) continue;
      this.#texts.start(text);
      const chunkMs = this.#now();
      await this.#passAll([text], count);
      this.#times.prefilled(count, this.#now() - chunkMs);
    }
    const texts = this.#texts.of(decodes);
    if (texts.length === 0) return;
    const decodesMs = this.#now();
    await this.#passAll(texts, 1);
    this.#times.decoded(this.#now() - decodesMs);
  }

  /** Runs the next ids of some rows in as few batches as their adapters allow. */
  async #passAll(texts: readonly TextInWork[], count: number): Promise<void> {
    const alive = texts.filter((text) => this.#texts.isAlive(text));
    try {
      const isInvariant = alive.some(({ sequence }) => sequence.isBatchInvariant);
      const held = alive.map((text) => text.held);
      const batches = await this.adapters.rows.of(held, { isInvariant });
      for (const batch of batches) await this.#pass(batch, alive, count);
    } catch (error) {
      for (const text of alive) this.#texts.fail(text, error);
    }
  }

  /** Runs the next ids of a batch, and draws what follows the last of each. */
  async #pass(batch: RowBatch, texts: readonly TextInWork[], count: number): Promise<void> {
    try {
      const ready = await this.#prepare(batch, texts, count);
      if (ready) this.#follow(ready, await runPaged(ready.stages, ready.pass, ready.work));
    } catch (error) {
      for (const row of batch.rows) this.#texts.fail(texts[row]!, error);
    }
  }

  /** Makes the next ids of a batch ready to run, which is to begin at once; null: nobody is left. */
  #prepare(
    batch: RowBatch,
    texts: readonly TextInWork[],
    count: number,
    layout?: CacheLayout,
  ): Promise<ReadyRows | null> {
    const ofRows = batch.rows.map((row) => texts[row]!);
    return readyRows(batch, ofRows, count, {
      cache: this.#cache,
      layout,
      isAlive: (text) => this.#texts.isAlive(text),
    });
  }

  /** Counts in what has run, and draws from logits [n, V], which it releases, what follows. */
  #follow({ texts, work: { count, wants } }: ReadyRows, logits: HostTensor<"float32"> | null): void {
    let next = 0;
    for (const [i, text] of texts.entries()) {
      const isDrawn = wants[i] === true;
      const own = isDrawn ? next++ : -1;
      // A text that was cancelled while the batch ran has no pages any more.
      if (!this.#texts.isAlive(text)) continue;
      this.#scheduler.computed(text.sequence, count);
      if (!isDrawn && text.sequence.numPending === 0) this.#texts.end(text, "length");
      if (logits && isDrawn) this.#texts.draw(text, rowOf(logits.data, own, sizeAt(logits.shape, 1)));
    }
    if (logits) this.session.pool.release(logits);
  }

  /** Next ids of one prompt, and the next tokens of texts that share a pass, for a pass of a training to take along. */
  async board(): Promise<Ride | null> {
    const { chunks, decodes } = this.#scheduler.schedule();
    const { rows } = this.adapters;
    const ride = new TextRide({
      follow: (ready, logits) => this.#follow(ready, logits),
      fail: (texts, error) => texts.forEach((text) => this.#texts.fail(text, error)),
    });
    for (const { sequence, count } of chunks.slice(0, 1)) {
      const [text] = this.#texts.of([sequence]);
      if (!text) continue;
      this.#texts.start(text);
      // Rows by heads are those of one pass, and so are the places of adapters side by side.
      await ride.add([text], () => this.#prepare(rows.alone(text.held), [text], count, "pages"));
    }
    const texts = this.#texts.of(decodes);
    if (texts.length > 0) {
      const held = texts.map((text) => text.held);
      await ride.add(texts, async () => {
        const [batch] = await rows.of(held);
        return batch ? await this.#prepare(batch, texts, 1) : null;
      });
    }
    if (ride.isEmpty) return null;
    this.#numSteps++;
    this.turns.takeWholePass();
    return ride;
  }

  /** Ends all texts; waits for what runs. No other begins. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#texts.abort();
    await this.#loop;
  }
}

function rowOf(data: Float32Array, row: number, width: number): Float32Array {
  return data.subarray(row * width, (row + 1) * width);
}
