/** @file Texts with a target for each output of a model: numbers to predict, or which classes apply. */
import { UsageError } from "../../errors.ts";
import type { RowSource } from "../formats/parsed-row.ts";
import { jsonKind, rowError } from "../rows/row-error.ts";
import { JUDGED_KEYS, type LabelsRow, type NumbersRow, type RowFormat } from "../rows/rows.ts";
import {
  type ClassExample,
  type ClassOptions,
  type ClassReading,
  encodeWhole,
  LABEL_HINT,
  makeClassExample,
  readWholeText,
  unknownClass,
} from "./class-example.ts";

/** A number as text, as in tables. */
const NUMBER_TEXT = /^\s*[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?\s*$/i;

/** A number that is finite as float32; null for other values. */
function readNumber(value: unknown): number | null {
  const number = typeof value === "string" && NUMBER_TEXT.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(Math.fround(number)) ? number : null;
}

function show(value: unknown): string {
  if (typeof value === "number") return String(value);
  return typeof value === "string" ? JSON.stringify(value) : jsonKind(value);
}

function wrongLabel(found: unknown, expected: string): UsageError {
  return rowError('"label"', show(found), expected, LABEL_HINT);
}

export const NUMBER_FORMS: readonly RowFormat<NumbersRow>[] = [
  {
    ...JUDGED_KEYS,
    read: (row) => {
      const { label: given } = row;
      const label = (Array.isArray(given) ? (given as unknown[]) : [given]).map((value) => {
        const number = readNumber(value);
        if (number === null) throw wrongLabel(value, "a number, or a list of one for each output");
        return number;
      });
      return { kind: "numbers", ...readWholeText(row), label };
    },
  },
];

export const LABELS_FORMS: readonly RowFormat<LabelsRow>[] = [
  {
    ...JUDGED_KEYS,
    read: (row) => {
      const { label } = row;
      const expected = "a list of names of classes, or of a number from 0 to 1 for each class";
      if (!Array.isArray(label)) throw wrongLabel(label, expected);
      const isName = (value: unknown): boolean => typeof value === "string" && value !== "";
      const isShare = (value: unknown): boolean => typeof value === "number" && value >= 0 && value <= 1;
      const text = readWholeText(row);
      if (label.every(isName)) return { kind: "labels", ...text, label: label as string[] };
      const wrong = (label as unknown[]).find((value) => !isShare(value));
      if (wrong !== undefined) throw wrongLabel(wrong, `in it ${expected}`);
      return { kind: "labels", ...text, label: label as number[] };
    },
  },
];

/** Turns a row into an example. @throws usage/data when it has more or fewer numbers than the model has outputs */
export function toNumbersExample(
  { label, ...text }: NumbersRow,
  { tokenizer, classes }: ClassReading,
  source: RowSource,
): ClassExample {
  const targets = requireLength(label, classes, "Give one number for each output.");
  return makeClassExample(encodeWhole(tokenizer, text), targets, classes, source);
}

/**
 * Turns a row into an example.
 * @throws usage/data for classes that the model does not have, or more or fewer numbers than classes
 */
export function toLabelsExample(
  { label, ...text }: LabelsRow,
  { tokenizer, classes }: ClassReading,
  source: RowSource,
): ClassExample {
  const { names } = classes;
  const isNamed = label.every((value) => typeof value === "string");
  const unknown = isNamed ? label.find((name) => !names.includes(name)) : undefined;
  if (unknown !== undefined) throw unknownClass(unknown, names);
  const targets = isNamed
    ? Float32Array.from(names, (name) => Number(label.includes(name)))
    : requireLength(label, classes, "Name the classes of the text, or give one number for each class.");
  return makeClassExample(encodeWhole(tokenizer, text), targets, classes, source);
}

function requireLength(label: readonly number[], { names }: ClassOptions, hint: string): Float32Array {
  if (label.length === names.length) return Float32Array.from(label);
  throw new UsageError(
    "usage/data",
    `Cannot use label ${JSON.stringify(label)}: ${label.length} numbers, expected ${names.length}, the model's outputs`,
    { hint },
  );
}
