/**
 * @file Many texts at once on one base: schedule → run → follow up, as long as there is work.
 *
 * Texts may start and end between two steps; each has its own adapter, settings and random numbers. The engine works on ids; the
 * caller converts them from and to text.
 */
import { CapacityError, assertInternal } from "../../errors.ts";
import type { Ride, Riders } from "../../run/blocks/riders.ts";
import type { Session } from "../../run/session.ts";
import type { AdapterPool } from "../adapters/adapter-pool.ts";
import type { HeldAdapter } from "../adapters/held-adapter.ts";
import { PAGE_TOKENS, PagePool } from "../cache/page-pool.ts";
import { PagedCache, pageBytes, pagesIn, usualCacheBytes } from "../cache/paged-cache.ts";
import { PREFILL_CHUNK, checkPrompt } from "../prompts/prompt.ts";
import { Scheduler } from "../scheduling/scheduler.ts";
import { ActiveText } from "./active-text.ts";
import { TextPasses } from "./text-passes.ts";
import { ActiveTexts } from "./active-texts.ts";
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

/** Writes many texts at once on one base, each with its own adapter; the caller owns session and adapters. */
export class ServingEngine implements Riders {
  readonly session: Session;
  readonly adapters: AdapterPool;
  /** Lets trainings on the same base take turns with texts. */
  readonly turns: Turns;
  readonly #pages: PagePool;
  readonly #scheduler: Scheduler;
  readonly #texts: ActiveTexts;
  readonly #passes: TextPasses;
  readonly #times = new PassClock();
  readonly #now: () => number;
  #loop: Promise<void> | null = null;
  #running: Promise<void> = Promise.resolve();
  #numSteps = 0;
  #isClosed = false;

  /** @throws CapacityError "capacity/memory" for a budget of less than one page */
  constructor(session: Session, adapters: AdapterPool, options: ServingOptions) {
    const { model, pool } = session;
    const {
      maxRunning = DEFAULT_RUNNING,
      prefillTokens = PREFILL_CHUNK,
      cacheBytes = usualCacheBytes(model),
      keptBytes = cacheBytes,
      policy = findPolicy(DEFAULT_POLICY),
      targets = DEFAULT_TARGETS,
      now = () => performance.now(),
    } = options;
    this.#now = now;
    this.session = session;
    this.adapters = adapters;
    const numPages = pagesIn(cacheBytes, model);
    this.#pages = new PagePool(numPages, Math.floor(keptBytes / pageBytes(model)));
    this.#scheduler = new Scheduler(this.#pages, { maxRunning, prefillTokens });
    const cache = new PagedCache(model, numPages);
    const parts = { scheduler: this.#scheduler, cache };
    this.#texts = new ActiveTexts({ ...parts, now });
    this.#passes = new TextPasses({ ...parts, pool, rows: adapters.rows, texts: this.#texts });
    const needs = (): TextNeeds => needsOf(this.#scheduler, targets, this.#times, now());
    this.turns = new Turns({ policy, needs, now });
  }

  /** Tokens that fit into the cache. */
  get capacityTokens(): number {
    return this.#pages.numPages * PAGE_TOKENS;
  }

  /** Most texts that have pages at a time. */
  get maxRunning(): number {
    return this.#scheduler.maxRunning;
  }

  get stats(): ServingStats {
    const { running, waiting, maxRunning } = this.#scheduler;
    const namesOf = (sequences: readonly Sequence[]): string[] =>
      this.#texts.of(sequences).flatMap(({ held }) => held?.name || []);
    return {
      ...this.#texts.counts,
      numSteps: this.#numSteps,
      numRunning: running.length,
      numWaiting: waiting.length,
      maxRunning,
      runningAdapters: namesOf(running),
      waitingAdapters: namesOf(waiting),
      numPages: this.#pages.numPages,
      numPagesHeld: this.#pages.numHeld,
    };
  }

  /**
   * Writes a text; the text ends when the caller stops reading.
   * @throws UsageError "usage/length" for a prompt that is too long, "usage/flag" for one that is empty or has ids that are not
   * in the vocabulary and for settings that mean nothing, "usage/adapter" for an adapter that is not known, "usage/state" after
   * `close`; CapacityError "capacity/memory" for a text that the cache cannot hold; FailedError "engine/nan"
   */
  async *write(given: ServeRequest): AsyncGenerator<ServedToken, ServeEnd, void> {
    this.#requireOpen();
    const request = withTextSettings(given);
    const submittedMs = this.#now();
    const { model } = this.session;
    const { promptIds, adapter = null, maxNewTokens, signal } = request;
    checkPrompt(model, [...promptIds, ...(request.writtenIds ?? [])]);
    // The last token needs no position, since nothing follows it.
    const maxLength = Math.min(promptIds.length + maxNewTokens, model.maxPositions + 1);
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
    // Cached ids do not run again, so a reader would miss them.
    const isShared = !isPerPrompt && !request.reader;
    // Cached keys of another text may have been computed by the products for few tokens.
    const isApart = isBatchInvariant && this.session.compute.many !== undefined;
    const root = `${held?.key ?? "base"}${isApart ? " alike" : ""}`;
    const sequence = new Sequence(promptIds, isShared ? root : null, {
      submittedMs,
      numAlike: this.session.model.numAlikePositions,
      isBatchInvariant: isBatchInvariant && !this.session.compute.isExact,
    });
    const text = new ActiveText(request, { sequence, held, maxLength });
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
    this.session.requireOpen("generate text");
    if (this.#isClosed) throw closedModel("generate text", this.session.base.name);
  }

  #requireRoom(length: number): void {
    const needed = Math.ceil(length / PAGE_TOKENS);
    if (needed <= this.#pages.numPages) return;
    throw new CapacityError(
      "capacity/memory",
      `Cannot generate a text of up to ${length} tokens: the cache holds ${this.#pages.numPages * PAGE_TOKENS}`,
      { hint: "Request fewer new tokens, or give the cache more memory." },
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
    } catch (error) {
      // A failure in a pass has been reported to its texts; a failure outside of a pass is reported to all texts here.
      this.#texts.failAll(error);
    } finally {
      this.#loop = null;
    }
  }

  /** Counts a prompt that runs in a turn of texts, but not in one of this engine's steps. */
  countPrompt(numTokens: number): void {
    this.#texts.countPrompt(numTokens);
  }

  /** Waits for the running step, if any: a text that has ended is in no later one. */
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
      await this.#passes.run([text], count);
      this.#times.prefilled(count, this.#now() - chunkMs);
    }
    const texts = this.#texts.of(decodes);
    if (texts.length === 0) return;
    const decodesMs = this.#now();
    await this.#passes.run(texts, 1);
    this.#times.decoded(this.#now() - decodesMs);
  }

  /** Prepares the next ids of one prompt, and the next tokens of texts that share a pass, to ride in a pass of a training. */
  async board(): Promise<Ride | null> {
    const ride = await this.#passes.ride(this.#scheduler.schedule());
    if (!ride) return null;
    this.#numSteps++;
    this.turns.takeWholePass();
    return ride;
  }

  /** Ends all texts and waits for the running step. No text can begin afterwards. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#texts.abort();
    await this.#loop;
  }
}
