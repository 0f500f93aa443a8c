/**
 * @file Every error that graft raises on purpose: one table of codes, classes by who must act.
 *
 * A message reads `Cannot <verb> <thing> "<name>": <found>, expected <wanted>`; the hint says how to fix it. Messages may
 * contain file names, so control characters are escaped and very long messages are cut. To add a code: one line in CODES.
 */

import { readable } from "./printable.ts";

/** Who must act: the caller, the maker of the file, the owner of the machine, or nobody immediately. */
type ErrorKind = "usage" | "format" | "capacity" | "failed";

/** code → [who must act, one sentence for the documentation]. */
export const CODES = {
  "usage/flag": ["usage", "A flag or setting is unknown, missing or out of range."],
  "usage/model": ["usage", "graft does not support this type of model, or one of its settings."],
  "usage/target-modules": ["usage", "The target modules match nothing in the model."],
  "usage/adapter": [
    "usage",
    "The adapter was made for another model, or with a method that graft does not support.",
  ],
  "usage/combine": [
    "usage",
    "The expression cannot be parsed, or its adapters cannot be combined in this way.",
  ],
  "usage/quantization": [
    "usage",
    "The base is quantized in an unsupported way or differently than requested, or its sizes do not divide into the groups.",
  ],
  "usage/scale": [
    "usage",
    "A trained scale or another number does not fit into the 16-bit floats it is to be written in.",
  ],
  "usage/data": ["usage", "The data set is empty or an example cannot be trained on."],
  "usage/chat-template": ["usage", "The model has no chat template, or it rejects the messages."],
  "usage/grammar": ["usage", "A JSON schema has an unsupported keyword, contradicts itself or is too large."],
  "usage/resume": ["usage", "There is nothing to resume, or the run was started with other settings."],
  "usage/output": ["usage", "The output exists already, is in use, or is inside an input."],
  "usage/database": ["usage", "The database belongs to another version of graft."],
  "usage/shape": ["usage", "Sizes of tensors do not match."],
  "usage/length": ["usage", "A text is longer than the model's positions, or than the rows of a batch."],
  "usage/state": ["usage", "The object is closed or released, or busy with something else."],
  "format/file": ["format", "A file is missing, truncated or not what its name says."],
  "format/tensor": ["format", "A tensor of a file is missing, unexpected or of the wrong shape or type."],
  "format/json": ["format", "A JSON or JSONL file cannot be parsed."],
  "source/unreachable": ["failed", "No source has the model."],
  "source/corrupt": ["failed", "A download does not have the expected checksum."],
  "capacity/memory": ["capacity", "The plan needs more memory than the machine has free."],
  "failed/push": ["failed", "The hub cannot be reached, or rejects the files."],
  "failed/write": ["failed", "The disk is full or the output cannot be written."],
  "train/nan": ["failed", "The loss is NaN or infinite."],
  "failed/database": [
    "failed",
    "The database cannot be reached, its tables cannot be created, or its disk is full.",
  ],
  "failed/store": [
    "failed",
    "The file store cannot be reached, refuses, or contains different bytes than were stored.",
  ],
  "server/port": ["failed", "A port cannot be listened on."],
  "engine/adapter": ["failed", "An adapter that a text requests cannot be read, or can no longer be read."],
  "engine/nan": ["failed", "The output of a model for the next token, or for a class, is NaN or infinite."],
  "engine/grammar": ["usage", "No token of the model fits the grammar of a text."],
  "train/no-movement": [
    "failed",
    "No trainable parameter changed in the first step, none has a gradient, or the loss depends on no output of the model in any step of the first epoch.",
  ],
  "train/power": [
    "failed",
    "Battery and temperature cannot be read, and the run was set to stop in that case; it can be resumed.",
  ],
  "train/stopped": ["failed", "The run was stopped from outside; it can be resumed."],
} as const satisfies Record<string, readonly [ErrorKind, string]>;

/** The kind of an error: a key of `CODES`. */
export type ErrorCode = keyof typeof CODES;

type CodeOf<K extends ErrorKind> = {
  [C in ErrorCode]: (typeof CODES)[C][0] extends K ? C : never;
}[ErrorCode];

/** Options that every graft error takes. */
interface ErrorDetails {
  /** How to fix it, one sentence in the imperative. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Base of all errors that graft raises on purpose; each class accepts only codes of its own kind. */
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
/** The maker of the file must fix it. */
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

/** Makes the error of a code, in the class of its kind; restores errors that were sent by a thread, or makes one of many rows. */
export function errorOf(
  code: ErrorCode,
  message: string,
  hint: string | null,
): InstanceType<(typeof CLASSES)[ErrorKind]> {
  // By the table, the code is one of this class.
  return new CLASSES[CODES[code][0]](code as never, message, hint === null ? {} : { hint });
}

/** Describes an error in one text: its message and, for graft's own, the reason and the hint. */
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

/** Asserts a condition that is false only if graft itself is wrong; never used for bad input. */
export function assertInternal(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`internal: ${message}`);
}
