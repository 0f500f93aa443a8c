/** @file The state that all routes of one server share. */
import type { ServingModel } from "../engine/serving-model.ts";
import type { AdapterRoot } from "./adapter-root.ts";
import { stopping } from "./api-error.ts";
import type { FineTuning } from "./fine-tuning.ts";
import { orderedIds } from "./ordered-ids.ts";
import type { Limits } from "./requests/limits.ts";
import { RunningRequests } from "./running-requests.ts";
import { ServedModels } from "./served-models.ts";
import type { ServerMetrics } from "./metrics/metrics.ts";
import { TextPlaces } from "./texts/text-places.ts";

interface ServerStateParts {
  readonly model: ServingModel;
  /** Name of the base for clients. */
  readonly name: string;
  readonly metrics: ServerMetrics;
  readonly limits: Limits;
  /** Is told of errors that are nobody's fault but ours. */
  readonly onError: (error: unknown, requestId: string) => void;
  /** The folder from which clients may load adapters; null: they may load none. */
  readonly adapterRoot: AdapterRoot | null;
  /** What time it is, in milliseconds. */
  readonly now: () => number;
  /** A text that no other call gives: the digits of a UUID of version 4. */
  readonly newId: () => string;
  /** Draws a seed for a request that has none. */
  readonly newSeed: () => number;
}

export class ServerState {
  readonly model: ServingModel;
  readonly name: string;
  /** The base and its adapters, by the names that clients have for them. */
  readonly models: ServedModels;
  readonly metrics: ServerMetrics;
  readonly limits: Limits;
  /** Who writes texts, and who has to come again. */
  readonly places: TextPlaces;
  /** Streams that can go on elsewhere. */
  readonly running = new RunningRequests();
  readonly onError: ServerStateParts["onError"];
  readonly adapterRoot: ServerStateParts["adapterRoot"];
  readonly now: () => number;
  readonly newId: () => string;
  /** The same, in order: not for jobs, whose results are named by their first digits. */
  readonly newOrderedId: () => string;
  readonly newSeed: () => number;
  /** Null: this server trains nothing. */
  fineTuning: FineTuning | null = null;
  /** When the server stops: no new requests, and those that run have a while. */
  isDraining = false;
  /** What the server waits for before its jobs begin, as clients are told; null: for nothing. */
  awaits: string | null = null;
  readonly #ending = new AbortController();

  constructor(parts: ServerStateParts) {
    this.model = parts.model;
    this.name = parts.name;
    this.metrics = parts.metrics;
    this.limits = parts.limits;
    this.onError = parts.onError;
    this.places = new TextPlaces(parts.limits);
    this.adapterRoot = parts.adapterRoot;
    this.now = parts.now;
    this.newId = parts.newId;
    this.newOrderedId = orderedIds(parts.now, parts.newId);
    this.newSeed = parts.newSeed;
    this.models = new ServedModels(this);
  }

  /** Aborts when requests that still run have to end, with the error that they are told. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Ends the requests that still run. */
  end(): void {
    this.#ending.abort(stopping());
  }

  /** Now, in seconds. */
  seconds(): number {
    return Math.floor(this.now() / 1000);
  }

  /** A text as clients may read it: with what they call the folders of this machine. */
  named(text: string): string {
    const { path: base } = this.model.parts.checkpoint;
    const places = this.models.list().map(({ id, path }) => ({ id, path: path ?? base }));
    const shown = places
      .toSorted((one, other) => other.path.length - one.path.length)
      .reduce((said, { id, path }) => withName(said, path, id), text);
    return this.fineTuning?.files.withoutPath(shown) ?? shown;
  }
}

/** A text with a name in the place of a path, where that stands whole. A word, as a relative path may be, is left: it may be any. */
function withName(text: string, path: string, name: string): string {
  if (!/[\\/]/.test(path)) return text;
  return text.replaceAll(path, (found, at: number) => {
    const isLonger =
      /[\w./\\-]/.test(text.charAt(at - 1)) ||
      /^\.?[\w-]/.test(text.slice(at + path.length, at + path.length + 2));
    return isLonger ? found : name;
  });
}
