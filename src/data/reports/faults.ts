/**
 * @file Counts unusable rows by kind of fault, for one report of all in an error or in a note.
 *
 * Two faults are of one kind when their messages differ only in numbers and quoted text. Only the first few places of a kind
 * are kept, so a file in which every row is faulty costs no memory.
 */
import { type ErrorCode, FormatError, UsageError, errorOf } from "../../errors.ts";
import { formatCount } from "../../messages/numbers.ts";
import { OutOfTime } from "../../untrusted/time-budget.ts";
import type { RowSource } from "../formats/parsed-row.ts";
import { describePlaces } from "./places.ts";

const MAX_PLACES = 5;
const MAX_KINDS = 10;
/** Maximum number of kinds; limits messages that quote ever different parts of rows. */
const MAX_TOLD_APART = 1000;

/** Rows with one kind of fault; plain data, which a thread can send. */
export interface FaultKind {
  readonly code: ErrorCode;
  /** The message of the first row. */
  readonly message: string;
  readonly hint: string | null;
  /** Whether the time limit for a text was exceeded, which depends on the machine. */
  readonly isLate: boolean;
  numRows: number;
  /** Places of the first rows. */
  readonly places: RowSource[];
}

/** Collects the faulty rows of a data set. */
export class Faults {
  readonly #kinds = new Map<string, FaultKind>();

  /** Counts a row. @throws `error` itself when it is not one of graft's errors about a row */
  add(source: RowSource, error: unknown): void {
    if (!(error instanceof UsageError || error instanceof FormatError)) throw error;
    const { code, message, hint, cause } = error;
    const isLate = cause instanceof OutOfTime;
    this.#merge({ code, message, hint, isLate, numRows: 1, places: [source] });
  }

  /** Adds faults that were counted elsewhere. */
  addAll(kinds: readonly FaultKind[]): void {
    for (const kind of kinds) this.#merge(kind);
  }

  #merge(kind: FaultKind): void {
    const name = this.#kinds.size < MAX_TOLD_APART ? nameOf(kind) : "";
    const known = this.#kinds.get(name);
    if (!known) this.#kinds.set(name, { ...kind, places: [...kind.places] });
    else {
      known.numRows += kind.numRows;
      known.places.push(...kind.places.slice(0, Math.max(0, MAX_PLACES - known.places.length)));
    }
  }

  get kinds(): readonly FaultKind[] {
    return [...this.#kinds.values()];
  }

  /** Faults by time limits. Such rows are never left out: otherwise a run would differ on a slower machine. */
  get late(): Faults {
    const late = new Faults();
    late.addAll(this.kinds.filter(({ isLate }) => isLate));
    return late;
  }

  get numRows(): number {
    return this.kinds.reduce((sum, { numRows }) => sum + numRows, 0);
  }

  /** Describes each kind in a line: where, how many, what. */
  describe(): string[] {
    const lines = this.kinds.slice(0, MAX_KINDS).map(({ message, numRows, places }) => {
      const numMore = numRows - places.length;
      const more = numMore > 0 ? ` and ${formatCount(numMore)} more` : "";
      const total = numRows > 1 ? ` (${formatCount(numRows)} rows)` : "";
      return `${describePlaces(places)}${more}${total}: ${message}`;
    });
    const others = this.kinds.slice(MAX_KINDS);
    const numOthers = others.reduce((sum, { numRows }) => sum + numRows, 0);
    if (numOthers > 0)
      lines.push(`and ${formatCount(numOthers)} more, of ${formatCount(others.length)} other kinds`);
    return lines;
  }

  /** Refuses a data set with faulty rows, with code and hint of the first kind. @throws UsageError, FormatError */
  requireNone(names: readonly string[]): void {
    const [first] = this.kinds;
    if (!first) return;
    const { numRows } = this;
    const what = names.map((name) => `"${name}"`).join(", ");
    const rows = numRows === 1 ? "1 faulty row" : `${formatCount(numRows)} faulty rows`;
    const message = `Cannot use data set ${what}: ${rows}\n${this.describe()
      .map((line) => `  ${line}`)
      .join("\n")}`;
    const mend = first.hint === null ? "" : `${first.hint} `;
    const isSkipped = this.kinds.every(({ isLate }) => isLate);
    const hint = isSkipped
      ? first.hint
      : `${mend}Or skip faulty rows: --skip-faulty, skipFaulty in the library.`;
    throw errorOf(first.code, message, hint);
  }
}

function nameOf({ code, message }: FaultKind): string {
  return `${code} ${message.replaceAll(/"(?:[^"\\]|\\.)*"|\d+/g, "…")}`;
}
