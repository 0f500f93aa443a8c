/**
 * @file Every error that graft raises on purpose: one table of codes, classes by who must act.
 *
 * A message reads `Cannot <verb> <thing> "<name>": <found>, expected <wanted>`; the hint says how to mend it.
 * Names of files are in messages: what a terminal would act on is escaped, what nobody reads is cut. Adding a code is one
 * line in CODES.
 */

import { readable } from "./printable.ts";

/** Who must act: the caller, whoever made the file, whoever has the machine, or nobody at once. */
type ErrorKind = "usage" | "format" | "capacity" | "failed";

/** code → [who must act, one sentence for the documentation]. */
export const CODES = {
  "usage/flag": ["usage", "A flag or setting is unknown, missing or out of range."],
  "usage/model": ["usage", "graft does not implement this type of model, or one of its settings."],
  "usage/target-modules": ["usage", "The target modules match nothing in the model."],
  "usage/adapter": [
    "usage",
    "The adapter was made for another model or by a method that graft does not know.",
  ],
  "usage/combine": [
    "usage",
    "The expression of adapters cannot be read, or its adapters cannot be combined in this way.",
  ],
  "usage/quantization": [
    "usage",
    "The base is quantized in a way that is not read, or another than is asked for, or its sizes do not make such groups.",
  ],
  "usage/scale": [
    "usage",
    "A trained scale, or another number, does not fit the 16-bit floats in which it is to be written.",
  ],
  "usage/data": ["usage", "The data set is empty or an example cannot be trained on."],
  "usage/chat-template": ["usage", "The model has no chat template, or it rejects the messages."],
  "usage/grammar": [
    "usage",
    "A JSON schema has a keyword that is not held, contradicts itself or is too large.",
  ],
  "usage/resume": ["usage", "There is nothing to resume, or it was made with other settings."],
  "usage/output": ["usage", "The output is taken, or lies in what is read."],
  "usage/database": ["usage", "The database is that of another version of graft."],
  "usage/shape": ["usage", "Sizes of tensors do not fit each other."],
  "usage/length": ["usage", "A text is longer than the model's positions, or than the rows of a batch."],
  "usage/state": ["usage", "What is used is closed or released, or busy with something else."],
  "format/file": ["format", "A file is missing, truncated or not what its name says."],
  "format/tensor": ["format", "A tensor of a file is missing, surplus or of a wrong shape or type."],
  "format/json": ["format", "A JSON or JSONL file cannot be parsed."],
  "source/unreachable": ["failed", "No source has the model."],
  "source/corrupt": ["failed", "A download does not have the expected checksum."],
  "capacity/memory": ["capacity", "The plan needs more memory than the machine has free."],
  "failed/push": ["failed", "The hub cannot be reached, or does not take the files."],
  "failed/write": ["failed", "The disk is full or the output cannot be written."],
  "train/nan": ["failed", "The loss is not a number any more."],
  "failed/database": [
    "failed",
    "The database cannot be reached, its tables not be made, or its disk is full.",
  ],
  "failed/store": [
    "failed",
    "The store of files cannot be reached, refuses, or holds other bytes than were put there.",
  ],
  "server/port": ["failed", "A port cannot be listened on."],
  "engine/adapter": ["failed", "An adapter that a text asks for cannot be read, or not any more."],
  "engine/nan": ["failed", "What a model gives for the next token, or for a class, is not a number."],
  "engine/grammar": ["usage", "No token of a model is what the grammar of a text asks for."],
  "train/no-movement": [
    "failed",
    "No trainable parameter moved in the first step, or no step of an epoch has anything to learn.",
  ],
  "train/power": [
    "failed",
    "Battery and temperature cannot be read, and the run is to stop then; it can be resumed.",
  ],
  "train/stopped": ["failed", "The run was stopped from outside; it can be resumed."],
} as const satisfies Record<string, readonly [ErrorKind, string]>;

/** What kind of error it is: a key of `CODES`. */
export type ErrorCode = keyof typeof CODES;

type CodeOf<K extends ErrorKind> = {
  [C in ErrorCode]: (typeof CODES)[C][0] extends K ? C : never;
}[ErrorCode];

/** Options that every graft error takes. */
interface ErrorDetails {
  /** How to mend it, one sentence in the imperative. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Base of all errors that graft raises on purpose; each class takes the codes of its own kind alone. */
export class GraftError<K extends ErrorKind = ErrorKind> extends Error {
  readonly code: CodeOf<K>;
  readonly hint: string | null;

  constructor(code: CodeOf<K>, message: string, details: ErrorDetails = {}) {
    super(readable(message), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = details.hint === undefined ? null : readable(details.hint);
  }
}

/** The caller must change the call. */
export class UsageError extends GraftError<"usage"> {}
/** Whoever made the file must mend it. */
export class FormatError extends GraftError<"format"> {}
/** The machine has too little of something. */
export class CapacityError extends GraftError<"capacity"> {}
/** The work failed for a reason outside the call. */
export class FailedError extends GraftError<"failed"> {}

const CLASSES = {
  usage: UsageError,
  format: FormatError,
  capacity: CapacityError,
  failed: FailedError,
} as const satisfies Record<ErrorKind, unknown>;

/** Makes the error of a code, in the class of its kind: what was told as text, by a thread or of many rows, is one again. */
export function errorOf(
  code: ErrorCode,
  message: string,
  hint: string | null,
): InstanceType<(typeof CLASSES)[ErrorKind]> {
  // The table says that it is one of the class's own.
  return new CLASSES[CODES[code][0]](code as never, message, hint === null ? {} : { hint });
}

/** Tells an error in one text: what was found and, of one of these, why and how to mend it. */
export function toldWhole(error: unknown): string {
  if (!(error instanceof GraftError)) return error instanceof Error ? error.message : String(error);
  const { message, cause, hint } = error;
  const reason = cause instanceof GraftError ? `: ${cause.message}` : "";
  return `${message}${reason}.${hint === null ? "" : ` ${hint}`}`;
}

/** Exit status of a process that ends with this error: 2 for usage, 1 for everything else. */
export function exitStatus(error: unknown): 1 | 2 {
  return error instanceof GraftError && CODES[error.code][0] === "usage" ? 2 : 1;
}

/** States what must hold unless graft itself is wrong; never used for bad input. */
export function assertInternal(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`internal: ${message}`);
}
