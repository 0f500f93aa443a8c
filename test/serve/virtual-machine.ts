/**
 * @file A machine on a virtual clock: turns, scheduler and targets are the engine's own, and what a program run takes is a
 * number. Days of service pass in a second.
 */
import { PagePool } from "../../src/engine/cache/page-pool.ts";
import { Scheduler, type ScheduledStep } from "../../src/engine/scheduling/scheduler.ts";
import { Sequence } from "../../src/engine/cache/sequence.ts";
import {
  PassClock,
  type ServiceTargets,
  type TextNeeds,
  needsOf,
} from "../../src/engine/scheduling/service-targets.ts";
import type { TurnPolicy } from "../../src/engine/scheduling/turn-policies.ts";
import { Turns } from "../../src/engine/scheduling/turns.ts";

/** What program runs take, in milliseconds. */
export interface Costs {
  readonly decode: (numRows: number) => number;
  readonly prefill: (numTokens: number) => number;
  /** One block of a training, forward and backward, and how many blocks a step has. */
  readonly forward: number;
  readonly backward: number;
  readonly numBlocks: number;
}

/** A text to come. */
export interface Arrival {
  readonly atMs: number;
  readonly prompt: number;
  readonly tokens: number;
  /** Texts of one group share a pass. */
  readonly group: number;
}

export interface VirtualOptions {
  readonly policy: TurnPolicy;
  readonly costs: Costs;
  readonly targets: ServiceTargets;
  readonly arrivals: readonly Arrival[];
  /** Trainings beside the texts; each goes on as long as there are some. */
  readonly numTrainings: number;
  readonly maxRunning?: number;
  readonly numPages?: number;
}

/** What a text met. */
interface Served {
  readonly waitMs: number;
  readonly firstMs: number;
  readonly tokenMs: number;
}

export interface VirtualOutcome {
  readonly texts: readonly Served[];
  /** Of the whole time, what each training had. */
  readonly shares: readonly number[];
  /** The longest time that no training had a block, and that a text waited for a token. */
  readonly longestPauseMs: number;
  readonly longestGapMs: number;
  /** The longest time that a step of texts waited although a prompt could run or a next token was due. */
  readonly longestHoldMs: number;
  readonly totalMs: number;
}

/** Time that passes when everybody waits. */
class VirtualClock {
  nowMs = 0;
  readonly #timers: { readonly atMs: number; readonly wake: () => void }[] = [];

  sleepUntil(atMs: number): Promise<void> {
    return new Promise((wake) => {
      const place = this.#timers.findLastIndex((timer) => timer.atMs <= atMs) + 1;
      this.#timers.splice(place, 0, { atMs, wake });
    });
  }

  sleep(ms: number): Promise<void> {
    return this.sleepUntil(this.nowMs + ms);
  }

  /** Lets time pass until nothing is left to wait for. */
  async run(): Promise<void> {
    for (;;) {
      await new Promise(setImmediate);
      const timer = this.#timers.shift();
      if (!timer) return;
      this.nowMs = timer.atMs;
      timer.wake();
    }
  }
}

interface Text extends Arrival {
  readonly sequence: Sequence;
  startedMs: number | null;
  lastMs: number;
}

/** Serves all arrivals beside the trainings. */
export function serveVirtually(options: VirtualOptions): Promise<VirtualOutcome> {
  return new VirtualMachine(options).run();
}

class VirtualMachine {
  readonly #options: VirtualOptions;
  readonly #clock = new VirtualClock();
  readonly #times = new PassClock();
  readonly #scheduler: Scheduler;
  readonly #turns: Turns;
  readonly #texts = new Map<Sequence, Text>();
  readonly #served: Served[] = [];
  readonly #longest = { gapMs: 0, pauseMs: 0, holdMs: 0 };
  /** What each training had. */
  readonly #trainedMs: number[];
  #stepEndMs = 0;
  #lastBlockMs = 0;
  #isServing = false;
  #areTextsLeft = true;

  constructor(options: VirtualOptions) {
    this.#options = options;
    const { policy, numTrainings, maxRunning = 16, numPages = 4096 } = options;
    this.#scheduler = new Scheduler(new PagePool(numPages), { maxRunning, prefillTokens: 256 });
    this.#turns = new Turns({ policy, now: () => this.#clock.nowMs, needs: () => this.#needs() });
    this.#trainedMs = Array.from({ length: numTrainings }, () => 0);
  }

  async run(): Promise<VirtualOutcome> {
    const trainings = this.#trainedMs.map((_, index) => this.#train(index));
    const arriving = this.#arrive();
    await this.#clock.run();
    await Promise.all([arriving, ...trainings]);
    const totalMs = this.#clock.nowMs;
    return {
      texts: this.#served,
      shares: this.#trainedMs.map((ms) => ms / totalMs),
      longestPauseMs: this.#longest.pauseMs,
      longestGapMs: this.#longest.gapMs,
      longestHoldMs: this.#longest.holdMs,
      totalMs,
    };
  }

  #needs(): TextNeeds {
    return needsOf(this.#scheduler, this.#options.targets, this.#times, this.#clock.nowMs);
  }

  async #arrive(): Promise<void> {
    const { arrivals } = this.#options;
    const serving: Promise<void>[] = [];
    for (const [index, arrival] of arrivals.entries()) {
      await this.#clock.sleepUntil(arrival.atMs);
      // Prompts begin differently: nothing of them is shared.
      const ids = Array.from({ length: arrival.prompt }, (_, i) => (i === 0 ? index : 7));
      const sequence = new Sequence(ids, "base", { submittedMs: this.#clock.nowMs });
      this.#texts.set(sequence, { ...arrival, sequence, startedMs: null, lastMs: 0 });
      this.#scheduler.add(sequence);
      if (!this.#isServing) serving.push(this.#serve());
    }
    await Promise.all(serving);
    this.#areTextsLeft = false;
  }

  async #train(index: number): Promise<void> {
    const { costs } = this.#options;
    const { betweenBlocks, rest } = this.#turns.training();
    for (let block = 0; ; block++) {
      if (!this.#areTextsLeft) return rest();
      await betweenBlocks();
      this.#longest.pauseMs = Math.max(this.#longest.pauseMs, this.#clock.nowMs - this.#lastBlockMs);
      const isForward = block % (2 * costs.numBlocks) < costs.numBlocks;
      const ms = isForward ? costs.forward : costs.backward;
      await this.#clock.sleep(ms);
      this.#lastBlockMs = this.#clock.nowMs;
      this.#trainedMs[index]! += ms;
    }
  }

  async #serve(): Promise<void> {
    this.#isServing = true;
    while (this.#texts.size > 0) {
      await this.#turns.take("step");
      const heldMs = this.#clock.nowMs - Math.max(this.#stepEndMs, this.#neededSinceMs());
      this.#longest.holdMs = Math.max(this.#longest.holdMs, heldMs);
      await this.#runStep(this.#scheduler.schedule(this.#turns.shape(256)));
      this.#stepEndMs = this.#clock.nowMs;
      this.#turns.giveBack();
    }
    this.#isServing = false;
  }

  /** Since when a prompt could run, or a step had to begin so that no next token is late; at most now. */
  #neededSinceMs(): number {
    const { nowMs } = this.#clock;
    const { hasPrompts } = this.#needs();
    const since = [...this.#texts.keys()].map(({ numPending, submittedMs, firstMs, numNew }) => {
      if (firstMs === null || numPending > 1) return hasPrompts ? submittedMs : nowMs;
      return firstMs + numNew * this.#options.targets.tokenMs - this.#times.decodeMs;
    });
    return Math.min(nowMs, ...since);
  }

  async #runStep({ chunks, decodes }: ScheduledStep): Promise<void> {
    const { costs } = this.#options;
    for (const { sequence, count } of chunks) {
      const text = this.#texts.get(sequence)!;
      text.startedMs ??= this.#clock.nowMs;
      await this.#clock.sleep(costs.prefill(count));
      this.#times.prefilled(count, costs.prefill(count));
      this.#follow(text, count);
    }
    if (decodes.length === 0) return;
    const beganMs = this.#clock.nowMs;
    for (const rows of Map.groupBy(decodes, (each) => this.#texts.get(each)?.group).values()) {
      await this.#clock.sleep(costs.decode(rows.length));
      for (const sequence of rows) this.#follow(this.#texts.get(sequence)!, 1);
    }
    this.#times.decoded(this.#clock.nowMs - beganMs);
  }

  /** Notes that some tokens of a text were computed, and that it ends with its last. */
  #follow(text: Text, count: number): void {
    const { sequence } = text;
    const { nowMs } = this.#clock;
    const isDrawn = sequence.numPending === count;
    this.#scheduler.computed(sequence, count);
    if (!isDrawn) return;
    if (sequence.firstMs !== null) this.#longest.gapMs = Math.max(this.#longest.gapMs, nowMs - text.lastMs);
    sequence.firstMs ??= nowMs;
    text.lastMs = nowMs;
    sequence.ids.push(7);
    if (sequence.numNew < text.tokens) return;
    this.#texts.delete(sequence);
    this.#scheduler.remove(sequence);
    this.#served.push({
      waitMs: text.startedMs! - text.atMs,
      firstMs: sequence.firstMs - text.atMs,
      tokenMs: (nowMs - sequence.firstMs) / Math.max(1, text.tokens - 1),
    });
  }
}

/**
 * What texts meet at a server that trains first and then writes with one adapter at a time: those that wait for it run to their
 * end as a batch, then it is swapped.
 */
export function trainThenServe(
  { costs, arrivals, maxRunning = 16 }: Pick<VirtualOptions, "costs" | "arrivals" | "maxRunning">,
  trainMs: number,
  swapMs: number,
): Served[] {
  const waiting = [...arrivals];
  const served: Served[] = [];
  let [nowMs, group] = [trainMs, -1];
  for (let [first] = waiting; first; [first] = waiting) {
    nowMs = Math.max(nowMs, first.atMs);
    if (first.group !== group) nowMs += swapMs;
    group = first.group;
    const batch = waiting
      .filter((text) => text.group === group && text.atMs <= nowMs)
      .slice(0, maxRunning)
      .map((text) => ({ text, startedMs: nowMs }));
    for (const { text } of batch) waiting.splice(waiting.indexOf(text), 1);
    nowMs += costs.prefill(batch.reduce((sum, { text }) => sum + text.prompt, 0));
    const firstMs = nowMs;
    const numTokens = Math.max(...batch.map(({ text }) => text.tokens));
    for (let token = 1; token < numTokens; token++) {
      nowMs += costs.decode(batch.filter(({ text }) => text.tokens > token).length);
    }
    for (const { text, startedMs } of batch) {
      served.push({
        waitMs: startedMs - text.atMs,
        firstMs: firstMs - text.atMs,
        tokenMs: (nowMs - firstMs) / Math.max(1, numTokens - 1),
      });
    }
  }
  return served;
}

/** Of all texts, how many met every target. */
export function attainment(texts: readonly Served[], targets: ServiceTargets): number {
  const met = texts.filter(
    ({ waitMs, firstMs, tokenMs }) =>
      waitMs <= targets.queueMs && firstMs <= targets.firstTokenMs && tokenMs <= targets.tokenMs,
  );
  return met.length / texts.length;
}
