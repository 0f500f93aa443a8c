/**
 * @file The kinds of data, by what is learned from them: the forms of rows, and what rows are turned into.
 *
 * To add a kind: an entry here. An objective names the kind that it reads.
 */
import type { RowSource } from "../formats/parsed-row.ts";
import { UsageError } from "../../errors.ts";
import { PROBLEM_TYPE, type ProblemType } from "../../models/config/classifier-config.ts";
import {
  CLASS_FORMS,
  type ClassExample,
  type ClassOptions,
  type ClassReading,
  fitClassExample,
  toClassExample,
} from "./class-example.ts";
import { type Comparison, fitComparison, isTelling, type ComparedRole } from "./comparison.ts";
import { LABELS_FORMS, NUMBER_FORMS, toLabelsExample, toNumbersExample } from "./target-example.ts";
import { countTrained, type Example, type ExampleOptions, toExample } from "./example.ts";
import { JUDGED_FORMS, PREFERENCE_FORMS } from "../rows/preference-rows.ts";
import { type OtherRows, type RowFormat, readRow, type TargetRow } from "../rows/rows.ts";
import { TARGET_FORMS } from "../rows/target-rows.ts";

/** The unit of each kind of data. */
export interface DataUnits {
  readonly text: Example;
  readonly preference: Comparison;
  readonly unpaired: Comparison;
  readonly classes: ClassExample;
  readonly labels: ClassExample;
  readonly numbers: ClassExample;
}

export type DataKindName = keyof DataUnits;

/** Options for making units from rows. */
export interface UnitOptions extends ExampleOptions {
  /** Maximum number of tokens in a sequence. */
  readonly maxLength: number;
  /** Needed only for classes. */
  readonly classes?: ClassOptions;
}

export interface DataKind<U> {
  /** Description for the documentation. */
  readonly summary: string;
  readonly forms: readonly RowFormat<unknown>[];
  /** Reads a row at its full length. @throws usage/data, usage/chat-template */
  toUnit(value: unknown, options: UnitOptions, source: RowSource): U;
  /** Whether its sequences are compared with each other, and so stay together. */
  readonly isCompared: boolean;
  /** What the outputs of models that learn from it mean; null: tokens. */
  readonly problem: ProblemType | null;
  /** Cuts a unit to `maxLength`. */
  fit(unit: U, options: UnitOptions): U;
  /** Whether a unit can be learned from. */
  isUseful(unit: U): boolean;
  /** Makes a unit whose sequences are all this text, for plans without data. */
  ofText(text: Example): U;
}

/** Puts answers into a group; always trains on the answers, whatever `trainOn` is set for conversations. */
function compare(
  answers: readonly (readonly [ComparedRole, TargetRow])[],
  options: UnitOptions,
  source: RowSource,
): Comparison {
  const sequences = answers.map(([role, row]) => ({
    ...toExample(row, { ...options, trainOn: "assistant" }, source),
    role,
    group: source.line,
  }));
  return { sequences, source };
}

/** Returns a function that makes comparisons of one text in each of these roles. */
function comparisonOf(roles: readonly ComparedRole[]): DataKind<Comparison>["ofText"] {
  return (text) => ({
    sequences: roles.map((role) => ({ ...text, role, group: text.source.line })),
    source: text.source,
  });
}

const COMPARISONS = {
  isCompared: true,
  problem: null,
  fit: (unit: Comparison, { maxLength, tokenizer: { bosId } }: UnitOptions) =>
    fitComparison(unit, { maxLength, bosId }),
  isUseful: isTelling,
};

/** Options with the classes of a model. @throws UsageError "usage/model" when it has none */
function withOwnClasses(options: UnitOptions): UnitOptions & { readonly classes: ClassOptions } {
  const { classes } = options;
  if (classes) return { ...options, classes };
  throw new UsageError("usage/model", "Cannot read classes: the model has none", {
    hint: "Choose a model for sequence classification.",
  });
}

/** Makes a kind of texts that are labelled as wholes. */
function judged<R>(
  summary: string,
  problem: ProblemType,
  forms: readonly RowFormat<R>[],
  toExample: (row: R, reading: ClassReading, source: RowSource) => ClassExample,
): DataKind<ClassExample> {
  return {
    summary,
    problem,
    forms,
    toUnit: (value, options, source) => toExample(rowOf(value, forms), withOwnClasses(options), source),
    isCompared: false,
    fit: (example, options) => fitClassExample(example, withOwnClasses(options)),
    isUseful: ({ ids }) => ids.length > 0,
    ofText: ({ ids, source }) => ({ ids, label: 0, labelIndex: ids.length - 1, source }),
  };
}

/** Reads a row of a kind; the error for a row of another kind says what that data is for. @throws usage/data */
function rowOf<R>(value: unknown, forms: readonly RowFormat<R>[]): R {
  const others: OtherRows[] = Object.values(DATA_KINDS).filter((kind) => kind.forms !== forms);
  return readRow(value, forms, others);
}

export const DATA_KINDS: { readonly [K in DataKindName]: DataKind<DataUnits[K]> } = {
  text: {
    summary: "texts and conversations",
    forms: TARGET_FORMS,
    toUnit: (value, options, source) => toExample(rowOf(value, TARGET_FORMS), options, source),
    isCompared: false,
    problem: null,
    fit: ({ ids, weights, source }, { maxLength }) => ({
      ids: ids.slice(0, maxLength),
      weights: weights.slice(0, maxLength),
      source,
    }),
    isUseful: (example) => countTrained(example) > 0,
    ofText: (text) => text,
  },
  preference: {
    summary: "two answers to a prompt, one of them better",
    forms: PREFERENCE_FORMS,
    toUnit: (value, options, source) => {
      const { chosen, rejected } = rowOf(value, PREFERENCE_FORMS);
      return compare(
        [
          ["chosen", chosen],
          ["rejected", rejected],
        ],
        options,
        source,
      );
    },
    ...COMPARISONS,
    ofText: comparisonOf(["chosen", "rejected"]),
  },
  unpaired: {
    summary: "answers that are each labelled good or bad",
    forms: JUDGED_FORMS,
    toUnit: (value, options, source) => {
      const { answer, isDesirable } = rowOf(value, JUDGED_FORMS);
      return compare([[isDesirable ? "desirable" : "undesirable", answer]], options, source);
    },
    ...COMPARISONS,
    ofText: comparisonOf(["desirable"]),
  },
  classes: judged("texts and the class of each", PROBLEM_TYPE.oneClass, CLASS_FORMS, toClassExample),
  labels: judged(
    "texts and the classes of each: none, one or several",
    PROBLEM_TYPE.anyClasses,
    LABELS_FORMS,
    toLabelsExample,
  ),
  numbers: judged("texts and a number of each", PROBLEM_TYPE.numbers, NUMBER_FORMS, toNumbersExample),
};
