/** @file Texts with their classes: rows, and the token ids that a classifier reads. */
import { UsageError } from "../../errors.ts";
import { unnamedClasses } from "../../models/config/classifier-config.ts";
import type { Model } from "../../models/model.ts";
import { lostRanges } from "./lost-ranges.ts";
import { showClasses } from "./class-names.ts";
import type { RowSource } from "../formats/parsed-row.ts";
import { isRecord, jsonKind, type RawFields, readString, rowError } from "../rows/row-error.ts";
import { type ClassRow, JUDGED_KEYS, type RowFormat, type WholeText } from "../rows/rows.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A text or a pair of texts as ids, with the class, the classes or the number that is learned of it. */
export interface ClassExample {
  readonly ids: Int32Array;
  /** Number of the class, from 0; or what each of the model's outputs is to be, [V]. */
  readonly label: number | Float32Array;
  /** The token whose position has to tell the class. */
  readonly labelIndex: number;
  /** Where the second of two texts begins, whose tokens are of type 1; absent: there is one text. */
  readonly secondAt?: number;
  readonly source: RowSource;
  /** It lost tokens to maxLength. */
  readonly isCut?: true;
}

/** What a classifier says of its classes. */
export interface ClassOptions {
  /** Names of the classes by their numbers. */
  readonly names: readonly string[];
  /** The token whose position tells the class: the first in encoders, the last in decoders. */
  readonly readAt: "first" | "last";
  /** The token that fills rows: one that ends a text does not tell its class, in transformers either. Null, and unless given: none. */
  readonly padId?: number | null;
}

/** The class that a row names, by name or number; true and false are names, as in tables. Null: none, as of an empty cell. */
export function readClassLabel({ label }: RawFields): string | number | null {
  if (typeof label === "boolean") return String(label);
  return (typeof label === "string" && label !== "") || typeof label === "number" ? label : null;
}

/** What is judged of a row; an empty cell is no second text. @throws usage/data */
export function readWholeText(row: RawFields): WholeText {
  const { text_pair: second } = row;
  const hasSecond = second !== undefined && second !== null && second !== "";
  return {
    text: readString(row, "text", "text to classify"),
    textPair: hasSecond ? readString(row, "text_pair") : null,
  };
}

/** The tokens of what is judged, with the tokenizer's own around them. */
export function encodeWhole(tokenizer: Tokenizer, { text, textPair }: WholeText): ReadTokens {
  if (textPair !== null) return tokenizer.encodePair(text, textPair);
  return { ids: tokenizer.encode(text, { addSpecialTokens: true }) };
}

/** Labels of another form are mostly for another objective. */
export const LABEL_HINT =
  "Fix the row, or choose the objective for such labels: --objective classification takes a name or number, multi-label-classification a list (which table cells cannot hold), regression a number.";

export const CLASS_FORMS: readonly RowFormat<ClassRow>[] = [
  {
    ...JUDGED_KEYS,
    read: (row) => {
      const label = readClassLabel(row);
      if (label === null) {
        const found = row["label"] === "" ? "an empty string" : jsonKind(row["label"]);
        throw rowError('"label"', found, "the name or number of a class", LABEL_HINT);
      }
      return { kind: "class", ...readWholeText(row), label };
    },
  },
];

/** Reads the names of a model's classes from its configuration, `id2label`; null when it has none. */
export function readClassNames(config: Readonly<Record<string, unknown>>): readonly string[] | null {
  const names = config["id2label"];
  if (!isRecord(names)) return null;
  return unnamedClasses(Object.keys(names).length).map((unnamed, i) => {
    const name = names[i];
    return typeof name === "string" ? name : unnamed;
  });
}

/** The classes of a model, and where it tells them; nothing for one that has none. */
export function classesOf({ classPosition, numOutputs, raw }: Model): { readonly classes?: ClassOptions } {
  if (classPosition === null) return {};
  const names = readClassNames(raw) ?? unnamedClasses(numOutputs);
  const { pad_token_id: padId } = raw;
  return { classes: { names, readAt: classPosition, padId: typeof padId === "number" ? padId : null } };
}

/** What an example is made with. */
export interface ClassReading {
  readonly tokenizer: Tokenizer;
  readonly classes: ClassOptions;
}

/** Turns a row into an example, at its full length. @throws usage/data for a class that the model does not have */
export function toClassExample(
  { label, ...text }: ClassRow,
  { tokenizer, classes }: ClassReading,
  source: RowSource,
): ClassExample {
  const number = typeof label === "number" ? label : classNumber(label, classes.names);
  if (classes.names[number] === undefined) throw unknownClass(label, classes.names);
  return makeClassExample(encodeWhole(tokenizer, text), number, classes, source);
}

/** The error of a class that a model does not have. */
export function unknownClass(label: string | number, names: readonly string[]): UsageError {
  return new UsageError(
    "usage/data",
    `Cannot use label ${JSON.stringify(label)}: the model has no such class, expected ${showClasses(names)}`,
    {
      hint: "Use a class name from id2label in the model's config.json, or its number; a new head has the classes of --classes.",
    },
  );
}

/** The number of a class by its name or, as tables have it, by its number as text; -1: there is none. */
function classNumber(label: string, names: readonly string[]): number {
  const isNumber = /^\d+$/;
  if (names.includes(label) || !isNumber.test(label) || names.some((name) => isNumber.test(name)))
    return names.indexOf(label);
  return Number(label);
}

/** Tokens of a text, or of two. */
type ReadTokens = { readonly ids: ArrayLike<number> } & Pick<ClassExample, "secondAt">;

/** An example of these tokens. */
export function makeClassExample(
  { ids, secondAt }: ReadTokens,
  label: ClassExample["label"],
  { readAt, padId }: Pick<ClassOptions, "readAt" | "padId">,
  source: RowSource,
): ClassExample {
  let last = ids.length - 1;
  while (last > 0 && ids[last] === padId) last--;
  return {
    ids: Int32Array.from(ids),
    label,
    labelIndex: readAt === "first" ? 0 : last,
    ...(secondAt !== undefined && { secondAt }),
    source,
  };
}

/** Cuts a text as `lostRanges` says. */
export function fitClassExample(
  example: ClassExample,
  {
    maxLength,
    tokenizer,
    classes,
  }: { readonly maxLength: number; readonly tokenizer: Tokenizer; readonly classes: ClassOptions },
): ClassExample {
  const { ids, label, secondAt, source } = example;
  const lost = lostRanges(example, tokenizer, maxLength);
  const isKept = (i: number): boolean => !lost.some(([from, to]) => i >= from && i < to);
  const kept = ids.filter((_, i) => isKept(i));
  const second = secondAt !== undefined && {
    secondAt: ids.subarray(0, secondAt).filter((_, i) => isKept(i)).length,
  };
  return makeClassExample({ ids: kept, ...second }, label, classes, source);
}
