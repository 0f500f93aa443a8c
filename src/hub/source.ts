/**
 * @file Contract of a source of models: given a name, it puts the model on the local disk or says why it cannot.
 *
 * The list is sources.ts. A new source is its file and one line there.
 */
import type { Environment } from "../environment.ts";
import type { ModelName } from "./model-name.ts";

/** How far a source has come with one file. */
export interface PullProgress {
  readonly source: string;
  readonly file: string;
  readonly receivedBytes: number;
  /** `null` while the size is unknown. */
  readonly totalBytes: number | null;
}

/** Calls back after a time, unless what it gives is called before. Not a Disposable: programs without that type import this one. */
export type StartTimer = (call: () => void, delayMs: number) => () => void;

/** What every source may use; nothing is read from the process itself. */
export interface SourceContext {
  readonly env: Environment;
  readonly signal: AbortSignal;
  /** Folder that holds the finished models. */
  readonly modelsFolder: string;
  /** Whether the checksums of what was fetched before are to be computed, and not only its sizes looked at. */
  readonly verifies: boolean;
  /** Time until the first byte after which a source counts as unreachable. */
  readonly timeoutMs: number;
  readonly startTimer: StartTimer;
  readonly onProgress: (progress: PullProgress) => void;
}

/** The model lies at `path`: a folder, or a file. */
export interface Found {
  readonly kind: "found";
  readonly path: string;
}

/** The source was asked and cannot give the model; `reason` is one line. */
export interface Unreachable {
  readonly kind: "unreachable";
  readonly reason: string;
}

/** One place that models come from. */
export interface ModelSource {
  readonly name: string;
  /** Finds a model; `null` when this source does not deal in models of that name. */
  find(model: ModelName, context: SourceContext): Promise<Found | Unreachable | null>;
}

/** Says that a source cannot give a model. */
export function unreachable(reason: string): Unreachable {
  return { kind: "unreachable", reason };
}

/** Thrown inside a source when its other side cannot be reached; the message is the one-line reason. */
export class UnreachableError extends Error {}
