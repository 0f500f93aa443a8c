/**
 * @file The forms that a row of a data set may have, told apart by their keys; columns besides those are ignored.
 *
 * Which forms are looked for depends on what is to be learned. Adding a form: an entry in the list of its kind.
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
  /** `hasLabel`: its row has a label too, which is not learned. */
  | { readonly kind: "text"; readonly text: string; readonly hasLabel?: boolean };

/** Two answers to one prompt, checked. */
export interface PreferenceRow {
  readonly kind: "preference";
  readonly chosen: TargetRow;
  readonly rejected: TargetRow;
}

/** An answer that is called good or bad, checked. */
export interface JudgedRow {
  readonly kind: "judged";
  readonly answer: TargetRow;
  readonly isDesirable: boolean;
}

/** A text that is judged as a whole, or two that are judged together. */
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

/** A text and what each output is to tell of it, checked. */
export interface NumbersRow extends WholeText {
  readonly kind: "numbers";
  readonly label: readonly number[];
}

/** A text and all of its classes by name, or from 0 to 1 how much it is of each. */
export interface LabelsRow extends WholeText {
  readonly kind: "labels";
  readonly label: readonly string[] | readonly number[];
}

/** One form of rows of a kind. */
export interface RowFormat<R> {
  /** The keys, as people are shown them. */
  readonly keys: string;
  matches(row: RawFields): boolean;
  /** @throws usage/data when the row breaks the form */
  read(row: RawFields): R;
}

/** How rows of texts that are judged are told from others. */
export const JUDGED_KEYS = {
  keys: '{"text", "label"}',
  matches: (row: RawFields): boolean => "text" in row && "label" in row,
};

/** Rows of another kind of data, and what they are. */
export interface OtherRows {
  readonly summary: string;
  readonly forms: readonly RowFormat<unknown>[];
}

/**
 * Reads one row that has one of some forms, the first that matches; `others` are kinds of data for something else.
 * @throws usage/data when it has none of the forms or breaks the one that it has
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
  // Tables have every column in every row.
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

/** What files call columns, for examples. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  prompt: "question",
  completion: "answer",
  text: "review",
  label: "class",
  chosen: "better",
  rejected: "worse",
};

/** How columns of other names are told, by the first of the forms that has several keys. */
export function columnsHint(forms: readonly Pick<RowFormat<unknown>, "keys">[]): string {
  const keys = forms.map(({ keys }) => [...keys.matchAll(/\w+/g)].map(([key]) => key));
  const example = keys.find(({ length }) => length > 1)?.map((key) => `${key}=${OTHER_NAMES[key] ?? key}`);
  return `Name these columns, for example --columns ${example?.join(",")} (columns in the library).`;
}
