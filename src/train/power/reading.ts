/** @file What a file or a command says of a device, as JSON; and what no device says. */
import { z } from "zod";
import type { DeviceState } from "./policy.ts";

/** A device at one time. */
export interface PowerReading extends DeviceState {
  /** Power of the whole device, as it measures it; null: it does not. */
  readonly watts: number | null;
}

/** Counts energy from some beginning, and begins anew after its range. */
export interface EnergyCounter {
  readonly name: string;
  readonly microjoules: number;
  readonly range: number;
}

/** Where the state of a device is from. */
export interface PowerSource {
  /** Name of the source, for messages. */
  readonly name: string;
  /** Reads the state. @throws PowerProblem when there is none, or it is nonsense */
  read(): Promise<PowerReading>;
  /** Reads the counters of energy; none: it is not measured so. */
  readEnergy(): Promise<readonly EnergyCounter[]>;
}

/** Says what is wrong with a source, as the middle of a message: "is gone". */
export class PowerProblem extends Error {}

const [COLDEST, HOTTEST] = [-50, 150];
const PERCENT = z.number().min(0).max(100);
const READING = z.object({
  battery: PERCENT.nullish(),
  /** State of charge under the name that Termux uses. */
  percentage: PERCENT.nullish(),
  temperature: z.number().min(COLDEST).max(HOTTEST).nullish(),
  watts: z.number().min(0).nullish(),
});
const SHOWN_LENGTH = 80;

/** Reads JSON, also behind the mark of byte order with which PowerShell begins a file; undefined: it is none. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text.trim());
  } catch {
    return undefined;
  }
}

/** Reads the JSON of a source. @throws PowerProblem */
export function parseReading(text: string): PowerReading {
  const parsed = READING.safeParse(readJson(text));
  if (!parsed.success) throw nonsense(text);
  const { battery, percentage, temperature, watts } = parsed.data;
  return requireState({
    battery: battery ?? percentage ?? null,
    temperature: temperature ?? null,
    watts: watts ?? null,
  });
}

/** @throws PowerProblem when a reading says nothing that pauses could be made of */
export function requireState(reading: PowerReading): PowerReading {
  if (reading.battery === null && reading.temperature === null)
    throw new PowerProblem("says neither battery nor temperature");
  return reading;
}

/** Whether a device can be so warm. */
export function isTemperature(degrees: number): boolean {
  return degrees >= COLDEST && degrees <= HOTTEST;
}

function nonsense(text: string): PowerProblem {
  return new PowerProblem(`says ${JSON.stringify(text.trim().slice(0, SHOWN_LENGTH))}`);
}
