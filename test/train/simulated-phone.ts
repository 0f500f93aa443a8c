/**
 * @file A phone that exists in arithmetic alone: a battery, and heat that flows into the air, on a clock that the work moves.
 *
 *   C dT/dt = P - (T - T_air) / R,   P = P_idle, or P_work (1 + leak (T - T_air)) at work
 *
 * The numbers are those of a phone of 2023 within the factor that phones differ by; nothing was measured.
 */
import { Pacer, type PacerClock, type PacerParts } from "../../src/train/power/pacer.ts";
import type { PowerSource } from "../../src/train/power/reading.ts";

const [AIR, HEAT_CAPACITY, RESISTANCE] = [25, 60, 6.5];
const [IDLE_WATTS, WORK_WATTS, LEAK_PER_DEGREE] = [0.7, 4.5, 0.01];
const BATTERY_JOULES = 15 * 3600;
/** Heat is followed in such pieces. */
const PIECE_MS = 50;

/** What a phone is at one time. */
interface PhoneState {
  readonly nowMs: number;
  readonly temperature: number;
  /** Per cent. */
  readonly battery: number;
}

export class SimulatedPhone implements PacerClock {
  #state: PhoneState;
  #workedMs = 0;
  /** Of everything, from the battery or a charger. */
  joules = 0;
  /** Flows in. */
  chargerWatts = 0;

  constructor(battery: number) {
    this.#state = { nowMs: 0, temperature: AIR, battery };
  }

  get state(): PhoneState {
    return this.#state;
  }

  /** As a source of `Pacer`. */
  get source(): PowerSource {
    return {
      name: "simulated phone",
      read: async () => ({ ...this.#state, watts: null }),
      readEnergy: async () => [{ name: "phone", microjoules: 1e6 * this.joules, range: 1e15 }],
    };
  }

  nowMs(): number {
    return this.#state.nowMs;
  }

  processorMs(): number {
    return this.#workedMs;
  }

  async sleep(ms: number): Promise<void> {
    this.#pass(ms, () => IDLE_WATTS);
  }

  /** Computes for a while. */
  work(ms: number): void {
    this.#pass(ms, (temperature) => WORK_WATTS * (1 + LEAK_PER_DEGREE * (temperature - AIR)));
    this.#workedMs += ms;
  }

  #pass(ms: number, wattsAt: (temperature: number) => number): void {
    for (let left = ms; left > 0; left -= PIECE_MS) {
      const { nowMs, temperature, battery } = this.#state;
      const seconds = Math.min(left, PIECE_MS) / 1000;
      const watts = wattsAt(temperature);
      const cooling = (temperature - AIR) / RESISTANCE;
      this.joules += watts * seconds;
      this.#state = {
        nowMs: nowMs + 1000 * seconds,
        temperature: temperature + ((watts - cooling) / HEAT_CAPACITY) * seconds,
        battery: Math.min(100, battery + (100 * (this.chargerWatts - watts) * seconds) / BATTERY_JOULES),
      };
    }
  }
}

/** How a phone trains. */
export interface PhoneRun {
  readonly phone: SimulatedPhone;
  /** Null: as fast as it can. */
  readonly pacer: Partial<PacerParts> | null;
  readonly numSteps: number;
  /** Work of a step, which its blocks share. */
  readonly stepMs: number;
  readonly numBlocks: number;
  /** Is called before each step. */
  readonly onStep?: (step: number) => void;
}

/** A step of a phone, at its end. */
interface PhoneStep extends PhoneState {
  readonly pauseMs: number;
  readonly joules: number;
}

/** The paper's thresholds and rates. */
const PHONE_POLICY = {
  batteryThreshold: 20,
  temperatureThreshold: 42,
  battery: { high: 2, low: 0.5 },
  temperature: { high: 2, low: 0.5 },
};

/** Trains on a phone; nothing is computed but its heat and its battery. */
export async function trainOnPhone(run: PhoneRun): Promise<PhoneStep[]> {
  const { phone, numSteps, stepMs, numBlocks } = run;
  const pacer =
    run.pacer &&
    new Pacer({
      source: phone.source,
      policy: PHONE_POLICY,
      schedule: [],
      everySteps: 1,
      missing: "run",
      clock: phone,
      signal: undefined,
      tell: () => {},
      ...run.pacer,
    });
  const steps: PhoneStep[] = [];
  for (let step = 0; step < numSteps; step++) {
    run.onStep?.(step);
    const before = phone.joules;
    await pacer?.begin(step);
    for (let block = 0; block < numBlocks; block++) {
      await pacer?.betweenBlocks();
      phone.work(stepMs / numBlocks);
    }
    const { pauseMs = 0 } = (await pacer?.end()) ?? {};
    steps.push({ ...phone.state, pauseMs, joules: phone.joules - before });
  }
  return steps;
}
