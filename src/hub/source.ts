/**
 * @file Contract of a source of models: given a name, it puts the model on the local disk or says why it cannot.
 *
 * The list is sources.ts. A new source needs its own file and one line there.
 */
import type { Environment } from "../environment.ts";
import type { ModelName } from "./model-name.ts";

/** The progress of a source with one file. */
export interface PullProgress {
  readonly source: string;
  readonly file: string;
  readonly receivedBytes: number;
  /** `null` while the size is unknown. */
  readonly totalBytes: number | null;
}

/**
 * Calls `call` after a time, unless the returned function is called first. Not a Disposable, since programs without that type
 * import this type.
 */
export type StartTimer = (call: () => void, delayMs: number) => () => void;

/** All that a source may use; sources read nothing from the process itself. */
export interface SourceContext {
  readonly env: Environment;
  readonly signal: AbortSignal;
  /** Folder with the complete models. */
  readonly modelsFolder: string;
  /** Whether to compute the checksums of files that were fetched before, instead of checking only their sizes. */
  readonly verifies: boolean;
  /** Time until the first byte after which a source counts as unreachable. */
  readonly timeoutMs: number;
  readonly startTimer: StartTimer;
  readonly onProgress: (progress: PullProgress) => void;
}

/** The model is at `path`: a folder or a file. */
export interface Found {
  readonly kind: "found";
  readonly path: string;
}

/** The source was asked and cannot give the model; `reason` is one line. */
export interface Unreachable {
  readonly kind: "unreachable";
  readonly reason: string;
}

/** One place from which models come. */
export interface ModelSource {
  readonly name: string;
  /** Finds a model; `null` when this source has no models with such names. */
  find(model: ModelName, context: SourceContext): Promise<Found | Unreachable | null>;
}

/** Makes the answer of a source that cannot give a model. */
export function unreachable(reason: string): Unreachable {
  return { kind: "unreachable", reason };
}

/** Thrown inside a source when a server cannot be reached; the message is the one-line reason. */
export class UnreachableError extends Error {}
