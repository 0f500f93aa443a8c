/**
 * @file Limits a run to the pace that its device allows: reads the state, and spreads the pause of a step over its blocks.
 *
 * How long a step works is only known when it is over. So the pauses between its blocks are based on the step before, and the rest of
 * the pause comes at the end.
 */
import { FailedError } from "../../errors.ts";
import { type Energy, energyOf } from "./energy.ts";
import { type PauseRange, pauseOf } from "./pause-schedule.ts";
import { type PowerPolicy, periodMs, stepsPerSecond } from "./policy.ts";
import { type EnergyCounter, PowerProblem, type PowerReading, type PowerSource } from "./reading.ts";

/** The clock of the pacer. */
export interface PacerClock {
  nowMs(): number;
  /** Processor time of this process, all cores together. */
  processorMs(): number;
  /** Waits; ends early if the run is asked to stop. */
  sleep(ms: number): Promise<void>;
}

export interface PacerParts {
  /** Null: pauses follow only the schedule. */
  readonly source: PowerSource | null;
  readonly policy: PowerPolicy;
  readonly schedule: readonly PauseRange[];
  /** Steps between readings of the state. */
  readonly everySteps: number;
  /** What to do if the state cannot be read: continue at full speed, or stop. */
  readonly missing: "run" | "stop";
  readonly clock: PacerClock;
  readonly signal: AbortSignal | undefined;
  /** Called with notes for the user. */
  readonly tell: (note: string) => void;
}

/** Time, pauses and energy of a step. */
export interface PacedStep {
  /** Time of work, without pauses. */
  readonly busyMs: number;
  readonly pauseMs: number;
  /** Null: not known. */
  readonly battery: number | null;
  readonly temperature: number | null;
  readonly energy: Energy;
}

/** A shorter pause is added to the next. */
const SHORTEST_SLEEP_MS = 1;
/**
 * The next reading comes at the earliest after this many times the duration of the last one, so that a slow source takes at most a tenth
 * of the time.
 */
const REST_AFTER_READING = 9;

export class Pacer {
  readonly #parts: PacerParts;
  #reading: PowerReading | null = null;
  #nextReadingMs = -Infinity;
  /** Outcomes of problems that the user has been told; each is told once. */
  readonly #told = new Set<string>();
  /** The step before; null: there is none. */
  #last: { readonly busyMs: number; readonly numCalls: number } | null = null;
  #step = { index: 0, startMs: 0, processorMs: 0, pausedMs: 0, numCalls: 0 };
  #counters: readonly EnergyCounter[] = [];

  constructor(parts: PacerParts) {
    this.#parts = parts;
  }

  /** Begins a step, counted from 0. @throws FailedError "train/power" if there is no state and `missing` is "stop" */
  async begin(index: number): Promise<void> {
    const { source, everySteps, clock } = this.#parts;
    const isDue = index % everySteps === 0 || this.#last === null;
    const fromMs = clock.nowMs();
    if (source && isDue && fromMs >= this.#nextReadingMs) {
      this.#reading = await this.#read(source);
      const untilMs = clock.nowMs();
      this.#nextReadingMs = untilMs + REST_AFTER_READING * (untilMs - fromMs);
    }
    this.#counters = (await source?.readEnergy()) ?? [];
    this.#step = {
      index,
      startMs: clock.nowMs(),
      processorMs: clock.processorMs(),
      pausedMs: 0,
      numCalls: 0,
    };
  }

  async #read(source: PowerSource): Promise<PowerReading | null> {
    try {
      const reading = await source.read();
      if (reading.problem !== undefined)
        this.#tellOnce(source, reading.problem, "pauses follow what else it says");
      return reading;
    } catch (error) {
      if (!(error instanceof PowerProblem)) throw error;
      if (this.#parts.missing === "stop") {
        throw new FailedError(
          "train/power",
          `Cannot continue training: power source "${source.name}" ${error.message}, expected battery or temperature`,
          {
            hint: "Fix the source and continue with --resume, or let the run continue at full speed with --power-missing run.",
            cause: error,
          },
        );
      }
      this.#tellOnce(source, error.message, "the run continues at full speed");
      return null;
    }
  }

  #tellOnce({ name }: PowerSource, problem: string, outcome: string): void {
    if (this.#told.has(outcome)) return;
    this.#told.add(outcome);
    this.#parts.tell(`The power source "${name}" ${problem}: ${outcome}`);
  }

  /** Waits for a part of the step's pause. */
  async betweenBlocks(): Promise<void> {
    const step = this.#step;
    step.numCalls++;
    if (this.#last === null) return;
    const { busyMs, numCalls } = this.#last;
    const share = Math.min(1, step.numCalls / (numCalls + 1));
    await this.#sleep(this.#pauseMs(Math.max(busyMs, this.#busyMs())) * share - step.pausedMs);
  }

  /** Waits for the rest of the pause; returns the figures of the step. */
  async end(): Promise<PacedStep> {
    const { clock, source } = this.#parts;
    const { processorMs, numCalls } = this.#step;
    const busyMs = this.#busyMs();
    await this.#sleep(this.#pauseMs(busyMs) - this.#step.pausedMs);
    this.#last = { busyMs, numCalls };
    return {
      busyMs,
      pauseMs: this.#step.pausedMs,
      battery: this.#reading?.battery ?? null,
      temperature: this.#reading?.temperature ?? null,
      energy: energyOf({
        before: this.#counters,
        after: (await source?.readEnergy()) ?? [],
        watts: this.#reading?.watts ?? null,
        elapsedMs: busyMs + this.#step.pausedMs,
        processorMs: clock.processorMs() - processorMs,
      }),
    };
  }

  /** The whole pause of this step, if it works for `busyMs`. */
  #pauseMs(busyMs: number): number {
    const { schedule, policy } = this.#parts;
    const set = pauseOf(schedule, this.#step.index);
    if (set !== null) return set;
    return this.#reading === null ? 0 : Math.max(0, periodMs(stepsPerSecond(this.#reading, policy)) - busyMs);
  }

  #busyMs(): number {
    return this.#parts.clock.nowMs() - this.#step.startMs - this.#step.pausedMs;
  }

  async #sleep(ms: number): Promise<void> {
    const { clock, signal } = this.#parts;
    if (ms < SHORTEST_SLEEP_MS || signal?.aborted) return;
    const fromMs = clock.nowMs();
    await clock.sleep(ms);
    this.#step.pausedMs += clock.nowMs() - fromMs;
  }
}
