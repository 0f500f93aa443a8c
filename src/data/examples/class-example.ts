/** @file Texts with their classes: reading rows, and the token ids that a classifier reads. */
import { UsageError } from "../../errors.ts";
import { unnamedClasses } from "../../models/config/classifier-config.ts";
import type { Model } from "../../models/model.ts";
import { lostRanges } from "./lost-ranges.ts";
import { showClasses } from "./class-names.ts";
import type { RowSource } from "../formats/parsed-row.ts";
import { isRecord, jsonKind, type RawFields, readString, rowError } from "../rows/row-error.ts";
import { type ClassRow, JUDGED_KEYS, type RowFormat, type WholeText } from "../rows/rows.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A text or a pair of texts as ids, with the class, the classes or the numbers to learn. */
export interface ClassExample {
  readonly ids: Int32Array;
  /** Number of the class, from 0; or the target of each of the model's outputs, [V]. */
  readonly label: number | Float32Array;
  /** Index of the token at whose position the class is predicted. */
  readonly labelIndex: number;
  /** Index of the first token of the second text, whose tokens have type 1; absent: there is one text. */
  readonly secondAt?: number;
  readonly source: RowSource;
  /** The example lost tokens to maxLength. */
  readonly isCut?: true;
}

/** A classifier's classes, and how it predicts them. */
export interface ClassOptions {
  /** Names of the classes, in order of their numbers. */
  readonly names: readonly string[];
  /** The token at whose position the class is predicted: the first in encoders, the last in decoders. */
  readonly readAt: "first" | "last";
  /**
   * The padding token: at the end of a text it is skipped when the last token is searched, as in transformers. Null or absent:
   * none.
   */
  readonly padId?: number | null;
}

/** The class in a row, by name or number; true and false are names, as in tables. Null: none, for example an empty cell. */
export function readClassLabel({ label }: RawFields): string | number | null {
  if (typeof label === "boolean") return String(label);
  return (typeof label === "string" && label !== "") || typeof label === "number" ? label : null;
}

/** Reads the text or texts to classify; an empty cell is not a second text. @throws usage/data */
export function readWholeText(row: RawFields): WholeText {
  const { text_pair: second } = row;
  const hasSecond = second !== undefined && second !== null && second !== "";
  return {
    text: readString(row, "text", "text to classify"),
    textPair: hasSecond ? readString(row, "text_pair") : null,
  };
}

/** Encodes the text or texts to classify, with the special tokens that the tokenizer adds. */
export function encodeWhole(tokenizer: Tokenizer, { text, textPair }: WholeText): ReadTokens {
  if (textPair !== null) return tokenizer.encodePair(text, textPair);
  return { ids: tokenizer.encode(text, { addSpecialTokens: true }) };
}

/** For labels of another form, since those are mostly meant for another objective. */
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

/** Returns the classes of a model and the position that predicts them; an empty object for a model without classes. */
export function classesOf({ classPosition, numOutputs, raw }: Model): { readonly classes?: ClassOptions } {
  if (classPosition === null) return {};
  const names = readClassNames(raw) ?? unnamedClasses(numOutputs);
  const { pad_token_id: padId } = raw;
  return { classes: { names, readAt: classPosition, padId: typeof padId === "number" ? padId : null } };
}

/** What is needed to make an example. */
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

/** Makes the error for a class that a model does not have. */
export function unknownClass(label: string | number, names: readonly string[]): UsageError {
  return new UsageError(
    "usage/data",
    `Cannot use label ${JSON.stringify(label)}: the model has no such class, expected ${showClasses(names)}`,
    {
      hint: "Use a class name from id2label in the model's config.json, or its number; a new head has the classes of --classes.",
    },
  );
}

/** The number of a class, from its name or, as in tables, its number as text; -1: there is no such class. */
function classNumber(label: string, names: readonly string[]): number {
  const isNumber = /^\d+$/;
  if (names.includes(label) || !isNumber.test(label) || names.some((name) => isNumber.test(name)))
    return names.indexOf(label);
  return Number(label);
}

/** Tokens of one text, or of two. */
type ReadTokens = { readonly ids: ArrayLike<number> } & Pick<ClassExample, "secondAt">;

/** Makes an example of tokens. */
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

/** Cuts a text as `lostRanges` determines. */
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
