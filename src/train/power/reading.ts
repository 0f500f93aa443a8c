/** @file The state of a device as JSON from a file or a command, and the values that are plausible. */
import { z } from "zod";
import type { DeviceState } from "./policy.ts";

/** The state of a device at one time. */
export interface PowerReading extends DeviceState {
  /** Measured power of the whole device; null: not measured. */
  readonly watts: number | null;
  /** An implausible value beside the valid ones, as the middle of a message: "says battery 900, …"; absent: none. */
  readonly problem?: string;
}

/** A counter of energy with an arbitrary start, which wraps around after its range. */
export interface EnergyCounter {
  readonly name: string;
  readonly microjoules: number;
  readonly range: number;
}

/** A source of the state of a device. */
export interface PowerSource {
  /** Name of the source, for messages. */
  readonly name: string;
  /** Reads the state. @throws PowerProblem when there is none, or it is implausible */
  read(): Promise<PowerReading>;
  /** Reads the energy counters; an empty list: there are none. */
  readEnergy(): Promise<readonly EnergyCounter[]>;
}

/** Says what is wrong with a source, as the middle of a message: "is gone". */
export class PowerProblem extends Error {}

const [COLDEST, HOTTEST] = [-50, 150];
const PERCENT = [0, 100] as const;
/** Smallest and largest plausible value of each field. */
const NUMBERS = {
  battery: PERCENT,
  /** State of charge under the name that Termux uses. */
  percentage: PERCENT,
  temperature: [COLDEST, HOTTEST],
  watts: [0, 1e6],
} as const;
const READING = z.record(z.string(), z.unknown());
const SHOWN_LENGTH = 80;

/** Parses JSON, also after the byte order mark that PowerShell writes; undefined: invalid. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text.trim());
  } catch {
    return undefined;
  }
}

/** Parses the JSON of a source. If a battery or a temperature is valid, other implausible values are only reported. @throws PowerProblem */
export function parseReading(text: string): PowerReading {
  const parsed = READING.safeParse(readJson(text));
  if (!parsed.success) throw new PowerProblem(`says ${shown(text.trim())}`);
  const bad: string[] = [];
  const read = (name: keyof typeof NUMBERS): number | null => {
    const value = parsed.data[name] ?? null;
    const [least, most] = NUMBERS[name];
    if (value === null || (typeof value === "number" && value >= least && value <= most)) return value;
    bad.push(`${name} ${shown(value)}, which is not a number from ${least} to ${most}`);
    return null;
  };
  const [battery, percentage] = [read("battery"), read("percentage")];
  const reading = {
    battery: battery ?? percentage,
    temperature: read("temperature"),
    watts: read("watts"),
  };
  if (bad.length === 0) return requireState(reading);
  const problem = `says ${bad.join(", and ")}`;
  if (reading.battery === null && reading.temperature === null) throw new PowerProblem(problem);
  return { ...reading, problem };
}

/** @throws PowerProblem when a reading has neither battery nor temperature, from which pauses are computed */
export function requireState(reading: PowerReading): PowerReading {
  if (reading.battery === null && reading.temperature === null)
    throw new PowerProblem("says neither battery nor temperature");
  return reading;
}

/** Whether a temperature is plausible. */
export function isTemperature(degrees: number): boolean {
  return degrees >= COLDEST && degrees <= HOTTEST;
}

/** The beginning of a source's output, for a message. */
function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, SHOWN_LENGTH);
}
