/**
 * @file A machine on a virtual clock: turns, scheduler and targets are the engine's own, and what a program run takes is a
 * number. Days of service pass in a second.
 */
import { PagePool } from "../../src/engine/cache/page-pool.ts";
import { Scheduler, type StepPlan } from "../../src/engine/scheduling/scheduler.ts";
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
export interface Served {
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
export async function serveVirtually(options: VirtualOptions): Promise<VirtualOutcome> {
  const { policy, costs, targets, arrivals, numTrainings, maxRunning = 16, numPages = 4096 } = options;
  const clock = new VirtualClock();
  const scheduler = new Scheduler(new PagePool(numPages), { maxRunning, prefillTokens: 256 });
  const times = new PassClock();
  const now = (): number => clock.nowMs;
  const needs = (): TextNeeds => needsOf(scheduler, targets, times, now());
  const turns = new Turns({ policy, now, needs });
  const texts = new Map<Sequence, Text>();
  const served: Served[] = [];
  const longest = { gapMs: 0, pauseMs: 0, holdMs: 0 };
  let stepEndMs = 0;
  let isServing = false;

  const follow = (text: Text, count: number): void => {
    const { sequence } = text;
    const isDrawn = sequence.numPending === count;
    scheduler.computed(sequence, count);
    if (!isDrawn) return;
    if (sequence.firstMs !== null) longest.gapMs = Math.max(longest.gapMs, now() - text.lastMs);
    sequence.firstMs ??= now();
    text.lastMs = now();
    sequence.ids.push(7);
    if (sequence.numNew < text.tokens) return;
    texts.delete(sequence);
    scheduler.remove(sequence);
    served.push({
      waitMs: (text.startedMs as number) - text.atMs,
      firstMs: sequence.firstMs - text.atMs,
      tokenMs: (now() - sequence.firstMs) / Math.max(1, text.tokens - 1),
    });
  };
  /** Since when a prompt could run, or a step had to begin so that no next token is late; at most now. */
  const neededSinceMs = (): number => {
    const { hasPrompts } = needs();
    const since = [...texts.keys()].map(({ numPending, submittedMs, firstMs, numNew }) => {
      if (firstMs === null || numPending > 1) return hasPrompts ? submittedMs : now();
      return firstMs + numNew * targets.tokenMs - times.decodeMs;
    });
    return Math.min(now(), ...since);
  };
  const runStep = async ({ chunks, decodes }: StepPlan): Promise<void> => {
    for (const { sequence, count } of chunks) {
      const text = texts.get(sequence) as Text;
      text.startedMs ??= now();
      await clock.sleep(costs.prefill(count));
      times.prefilled(count, costs.prefill(count));
      follow(text, count);
    }
    if (decodes.length === 0) return;
    const beganMs = now();
    for (const rows of Map.groupBy(decodes, (each) => texts.get(each)?.group).values()) {
      await clock.sleep(costs.decode(rows.length));
      for (const sequence of rows) follow(texts.get(sequence) as Text, 1);
    }
    times.decoded(now() - beganMs);
  };
  const serve = async (): Promise<void> => {
    isServing = true;
    while (texts.size > 0) {
      await turns.take("step");
      longest.holdMs = Math.max(longest.holdMs, now() - Math.max(stepEndMs, neededSinceMs()));
      await runStep(scheduler.schedule(turns.shape(256)));
      stepEndMs = now();
      turns.giveBack();
    }
    isServing = false;
  };
  const state = { areTextsLeft: true, lastBlockMs: 0 };
  const trained = Array.from({ length: numTrainings }, () => 0);
  const trainings = trained.map(async (_, index) => {
    const { betweenBlocks, rest } = turns.training();
    for (let block = 0; state.areTextsLeft; block++) {
      await betweenBlocks();
      longest.pauseMs = Math.max(longest.pauseMs, now() - state.lastBlockMs);
      const isForward = block % (2 * costs.numBlocks) < costs.numBlocks;
      const ms = isForward ? costs.forward : costs.backward;
      await clock.sleep(ms);
      state.lastBlockMs = now();
      trained[index] = (trained[index] ?? 0) + ms;
    }
    rest();
  });
  const arriving = (async () => {
    const serving: Promise<void>[] = [];
    for (const arrival of arrivals) {
      await clock.sleepUntil(arrival.atMs);
      // Prompts begin differently: nothing of them is shared.
      const ids = Array.from({ length: arrival.prompt }, (_, i) => (i === 0 ? arrivals.indexOf(arrival) : 7));
      const sequence = new Sequence(ids, "base", { submittedMs: now() });
      texts.set(sequence, { ...arrival, sequence, startedMs: null, lastMs: 0 });
      scheduler.add(sequence);
      if (!isServing) serving.push(serve());
    }
    await Promise.all(serving);
    state.areTextsLeft = false;
  })();
  await clock.run();
  await Promise.all([arriving, ...trainings]);
  return {
    texts: served,
    shares: trained.map((ms) => ms / now()),
    longestPauseMs: longest.pauseMs,
    longestGapMs: longest.gapMs,
    longestHoldMs: longest.holdMs,
    totalMs: now(),
  };
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
