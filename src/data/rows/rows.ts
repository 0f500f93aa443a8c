/**
 * @file The forms that a row of a data set may have, distinguished by their keys; other columns are ignored.
 *
 * Which forms are tried depends on what is to be learned. To add a form: an entry in the list of its kind.
 */
import type { WeightedMessage } from "./messages.ts";
import { isRecord, jsonKind, type RawFields, rowError } from "./row-error.ts";

/** Text to learn, checked. */
export type TargetRow =
  | {
      readonly kind: "chat";
      readonly messages: readonly WeightedMessage[];
      readonly tools: readonly unknown[] | null;
    }
  | { readonly kind: "completion"; readonly prompt: string; readonly completion: string }
  /** `hasLabel`: the row also has a label, which is not learned. */
  | { readonly kind: "text"; readonly text: string; readonly hasLabel?: boolean };

/** Two answers to one prompt, checked. */
export interface PreferenceRow {
  readonly kind: "preference";
  readonly chosen: TargetRow;
  readonly rejected: TargetRow;
}

/** An answer that is labelled good or bad, checked. */
export interface JudgedRow {
  readonly kind: "judged";
  readonly answer: TargetRow;
  readonly isDesirable: boolean;
}

/** A text, or a pair of texts, that is labelled as a whole. */
export interface WholeText {
  readonly text: string;
  /** The second of a pair; null: there is none. */
  readonly textPair: string | null;
}

/** A text and its class, by name or number. */
export interface ClassRow extends WholeText {
  readonly kind: "class";
  readonly label: string | number;
}

/** A text and the number that each output should give for it, checked. */
export interface NumbersRow extends WholeText {
  readonly kind: "numbers";
  readonly label: readonly number[];
}

/** A text and the names of all its classes, or for each class a number from 0 to 1: how much it applies. */
export interface LabelsRow extends WholeText {
  readonly kind: "labels";
  readonly label: readonly string[] | readonly number[];
}

/** One form of rows of a kind. */
export interface RowFormat<R> {
  /** The keys, in the form that messages show. */
  readonly keys: string;
  matches(row: RawFields): boolean;
  /** @throws usage/data when the row breaks the form */
  read(row: RawFields): R;
}

/** How rows of labelled texts are recognised. */
export const JUDGED_KEYS = {
  keys: '{"text", "label"}',
  matches: (row: RawFields): boolean => "text" in row && "label" in row,
};

/** Rows of another kind of data, with its description. */
export interface OtherRows {
  readonly summary: string;
  readonly forms: readonly RowFormat<unknown>[];
}

/**
 * Reads one row in the first of some forms that matches; `others` are kinds of data for other purposes.
 * @throws usage/data when no form matches, or the row breaks the one that does
 */
export function readRow<R>(
  value: unknown,
  forms: readonly RowFormat<R>[],
  others: readonly OtherRows[] = [],
): R {
  const names = forms.map(({ keys }) => keys);
  const expected = names.length === 1 ? names[0]! : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
  if (!isRecord(value)) {
    throw rowError("row", jsonKind(value), `an object: ${expected}`, "Write one object per row.");
  }
  // Ignores nulls at first, since tables have every column in every row.
  const given = Object.fromEntries(Object.entries(value).filter(([, cell]) => cell !== null));
  const form = forms.find((form) => form.matches(given)) ?? forms.find((form) => form.matches(value));
  if (form) return form.read(value);
  const keys = Object.keys(value);
  const other = others.find(({ forms }) => forms.some((form) => form.matches(given)));
  throw rowError(
    "row",
    keys.length === 0 ? "no keys" : `keys ${keys.map((key) => JSON.stringify(key)).join(", ")}`,
    expected,
    other
      ? `Such rows are for a different objective (${other.summary}): choose one that trains on them with --objective of graft train, which also evaluates on them with --eval-data (graft eval does not), or other data.`
      : columnsHint(forms),
  );
}

/** Typical names of columns in files, for examples in hints. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  prompt: "question",
  completion: "answer",
  text: "review",
  label: "class",
  chosen: "better",
  rejected: "worse",
};

/** Tells how to map columns of other names, with the first of the forms that has several keys as the example. */
export function columnsHint(forms: readonly Pick<RowFormat<unknown>, "keys">[]): string {
  const keys = forms.map(({ keys }) => [...keys.matchAll(/\w+/g)].map(([key]) => key));
  const example = keys.find(({ length }) => length > 1)?.map((key) => `${key}=${OTHER_NAMES[key] ?? key}`);
  return `Name these columns, for example --columns ${example?.join(",")} (columns in the library).`;
}
