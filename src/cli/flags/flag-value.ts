/** @file Converts the text of a flag, or the value of a key in a settings file, to the value that the schema expects. */
import { createRequire } from "node:module";

import type * as Yaml from "yaml";

import type { Flag, FlagKind } from "./flags.ts";

/** A successfully read value, which may be undefined or null. */
interface Reading {
  readonly value: unknown;
}

const SWITCH_WORDS: Readonly<Record<string, boolean>> = {
  on: true,
  off: false,
  true: true,
  false: false,
  yes: true,
  no: false,
};

/** Reads on, off, true, false, yes or no; `undefined` for anything else. */
export function readSwitch(text: string): boolean | undefined {
  return Object.hasOwn(SWITCH_WORDS, text) ? SWITCH_WORDS[text] : undefined;
}

function readYaml(text: string): Reading | null {
  try {
    // Loaded on demand: most calls have no such flag, and the library has 70 files.
    const { parse } = createRequire(import.meta.url)("yaml") as typeof Yaml;
    return { value: parse(text) as unknown };
  } catch {
    return null;
  }
}

/** Reads text as one kind of value; `null` when it is not of that kind. */
function readKind(text: string, kind: FlagKind, choices: readonly string[]): Reading | null {
  switch (kind) {
    case "enum": {
      if (choices.includes(text)) return { value: text };
      const state = readSwitch(text);
      const word = state === undefined ? "" : state ? "on" : "off";
      return choices.includes(word) ? { value: word } : null;
    }
    case "integer":
    case "number": {
      const value = text.trim() === "" ? Number.NaN : Number(text);
      const isFit = kind === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value);
      return isFit ? { value } : null;
    }
    case "boolean": {
      const value = readSwitch(text);
      return value === undefined ? null : { value };
    }
    case "yaml":
      return readYaml(text);
    case "string":
      return { value: text };
    case "array":
      // The elements of an array are read one by one.
      break;
  }
  return null;
}

/** Text is tried as the narrowest kind first: "3" is a number before it is a string. */
const NARROW_FIRST: readonly FlagKind[] = ["enum", "integer", "number", "boolean", "yaml", "string"];

/** Reads text as the first kind that fits; `null` if none does. */
function readOne(text: string, { kinds, choices }: Pick<Flag, "kinds" | "choices">): Reading | null {
  for (const kind of NARROW_FIRST) {
    const reading = kinds.includes(kind) ? readKind(text, kind, choices) : null;
    if (reading !== null) return reading;
  }
  return null;
}

/** A text that is a mapping, for flags that also accept a list: any other text would be valid YAML too. */
const MAPPING = /^\s*\{.*:.*\}\s*$/s;

/** Reads all texts given for one flag; only an array may have more than one. */
export function readFlag(flag: Flag, texts: readonly string[]): Reading | { readonly expected: string } {
  const last = texts.at(-1) ?? "";
  const { element, expected } = flag;
  if (element === null) return readOne(last, flag) ?? { expected };
  const other = flag.kinds.filter((kind) => kind !== "array" && (kind !== "yaml" || MAPPING.test(last)));
  // A single word such as "all", or a mapping, for a flag that also accepts a list of names.
  if (texts.length === 1 && other.length > 0) {
    const reading = readOne(last, { ...flag, kinds: other });
    if (reading !== null) return reading;
  }
  const parts =
    element.isWhole || element.kinds.includes("yaml")
      ? texts
      : texts.flatMap((text) => (text === "" ? [] : text.split(",")));
  const values: unknown[] = [];
  for (const part of parts) {
    const reading = readOne(element.isWhole ? part : part.trim(), element);
    if (reading === null) return { expected };
    values.push(reading.value);
  }
  return { value: values };
}

/** Converts a value of a settings file towards the schema: on/off words, single elements to lists; zod checks the rest. */
export function readSetting(flag: Flag, value: unknown): unknown {
  if (flag.element !== null && typeof value === "string") {
    const reading = readFlag(flag, [value]);
    return "expected" in reading ? value : reading.value;
  }
  if (flag.element !== null && typeof value === "number" && !flag.kinds.includes("number")) return [value];
  if (typeof value === "boolean" && flag.kinds.includes("enum") && !flag.kinds.includes("boolean")) {
    const word = value ? "on" : "off";
    return flag.choices.includes(word) ? word : value;
  }
  if (typeof value === "string" && flag.kinds.length === 1 && flag.kinds[0] === "boolean") {
    return readSwitch(value) ?? value;
  }
  return value;
}
