/** @file What a file or a command says of a device, as JSON; and what no device says. */
import { z } from "zod";
import type { DeviceState } from "./policy.ts";

/** A device at one time. */
export interface PowerReading extends DeviceState {
  /** Power of the whole device, as it measures it; null: it does not. */
  readonly watts: number | null;
  /** What else it says that no device can, as the middle of a message: "says battery 900, …"; absent: nothing. */
  readonly problem?: string;
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
const PERCENT = [0, 100] as const;
/** What a device may say, as least and most. */
const NUMBERS = {
  battery: PERCENT,
  /** State of charge under the name that Termux uses. */
  percentage: PERCENT,
  temperature: [COLDEST, HOTTEST],
  watts: [0, 1e6],
} as const;
const READING = z.record(z.string(), z.unknown());
const SHOWN_LENGTH = 80;

/** Reads JSON, also behind the mark of byte order with which PowerShell begins a file; undefined: it is none. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text.trim());
  } catch {
    return undefined;
  }
}

/** Reads the JSON of a source. Beside a battery or a temperature, what is nonsense is only told. @throws PowerProblem */
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

/** The beginning of what a source says, fit for a message. */
function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, SHOWN_LENGTH);
}
