/** @file Reads a benchmark's flags from the words after its name. */
import { parseArgs } from "node:util";

import { UsageError } from "../../src/errors.ts";
import type { Flag } from "../bench.ts";

/** The value of each flag, and of the harness's own flags. */
interface ParsedFlags {
  readonly values: Readonly<Record<string, string | number | boolean>>;
  /** File to write; empty: none. */
  readonly save: string;
  readonly json: boolean;
  readonly help: boolean;
}

const OWN_FLAGS: Readonly<Record<string, Flag>> = {
  save: { value: "", help: "also writes the result to this file; a bare name goes to bench/results/" },
  json: { value: false, help: "prints the result alone, as one JSON object" },
  help: { value: false, help: "shows the flags" },
};

/** Present names of flags by their old names. */
const RENAMED: Readonly<Record<string, string>> = { length: "max-length" };

/** A hint for flags that are given by old names; empty: there are none. */
function renamedHint(words: readonly string[], flags: Readonly<Record<string, Flag>>): string {
  const hints = words.flatMap((word) => {
    const [name = ""] = word.replace(/^--/, "").split("=");
    const now = RENAMED[name];
    return now !== undefined && now in flags && word.startsWith("--") ? [`--${name} is now --${now}. `] : [];
  });
  return hints.join("");
}

function readValue(name: string, flag: Flag, given: string | boolean): string | number | boolean {
  if (typeof flag.value !== "number") return given;
  const number = given === "" ? Number.NaN : Number(given);
  if (Number.isFinite(number)) return number;
  throw new UsageError("usage/flag", `Cannot read flag "--${name}": ${given}, expected a number`);
}

/** Reads the words. @throws usage/flag for an unknown flag or a value of another kind */
export function parseFlags(words: readonly string[], own: Readonly<Record<string, Flag>>): ParsedFlags {
  const flags = { ...own, ...OWN_FLAGS };
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { value }]) => [
      name,
      { type: typeof value === "boolean" ? ("boolean" as const) : ("string" as const) },
    ]),
  );
  let given: Readonly<Record<string, unknown>>;
  try {
    given = parseArgs({ args: [...words], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError("usage/flag", `Cannot read the flags: ${(error as Error).message}`, {
      hint: `${renamedHint(words, flags)}Known flags: ${Object.keys(flags)
        .map((name) => `--${name}`)
        .join(" ")}`,
    });
  }
  const all = Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => {
      const word = given[name];
      return [name, word === undefined ? flag.value : readValue(name, flag, word as string | boolean)];
    }),
  );
  const { save, json, help, ...values } = all;
  return { values, save: save as string, json: json as boolean, help: help as boolean };
}

/** Reads the value of a flag that takes whole numbers with commas. @throws UsageError "usage/flag" for others */
export function readCounts(name: string, text: string): number[] {
  const numbers = text.split(",").map(Number);
  if (numbers.every((number) => Number.isInteger(number) && number > 0)) return numbers;
  throw new UsageError("usage/flag", `Cannot read --${name} "${text}": expected whole numbers above 0`);
}

/** Lists flags with their defaults, one a line. */
export function helpText(own: Readonly<Record<string, Flag>>): string {
  return Object.entries({ ...own, ...OWN_FLAGS })
    .map(([name, { value, help }]) => {
      const shown = typeof value === "boolean" || value === "" ? "" : ` (${value})`;
      return `  --${name.padEnd(20)} ${help}${shown}`;
    })
    .join("\n");
}
