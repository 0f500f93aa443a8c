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
  /** Receives errors that are not the client's fault. */
  readonly onError: (error: unknown, requestId: string) => void;
  /** The folder from which clients may load adapters; null: they may load none. */
  readonly adapterRoot: AdapterRoot | null;
  /** Returns the current time in milliseconds. */
  readonly now: () => number;
  /** Returns a unique text: the digits of a UUID of version 4. */
  readonly newId: () => string;
  /** Draws a seed for a request that has none. */
  readonly newSeed: () => number;
}

export class ServerState {
  readonly model: ServingModel;
  readonly name: string;
  /** The base and its adapters, by their names for clients. */
  readonly models: ServedModels;
  readonly metrics: ServerMetrics;
  readonly limits: Limits;
  /** Places for the texts that are being written; requests without one must retry. */
  readonly places: TextPlaces;
  /** Streams that can continue in another server. */
  readonly running = new RunningRequests();
  readonly onError: ServerStateParts["onError"];
  readonly adapterRoot: ServerStateParts["adapterRoot"];
  readonly now: () => number;
  readonly newId: () => string;
  /** As `newId`, but in order of time. Not for jobs, whose results are named by the first digits of their ids. */
  readonly newOrderedId: () => string;
  readonly newSeed: () => number;
  /** null: this server does not train. */
  fineTuning: FineTuning | null = null;
  /** Set when the server stops: new requests are refused, and running ones have some time left. */
  isDraining = false;
  /** What the server waits for before its jobs begin, in words for clients; null: nothing. */
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

  /** Aborts when running requests must end; its reason is the error for their clients. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Ends the running requests. */
  end(): void {
    this.#ending.abort(stopping());
  }

  /** The current time in seconds. */
  seconds(): number {
    return Math.floor(this.now() / 1000);
  }

  /** Replaces folders of this machine in a text by their names for clients. */
  named(text: string): string {
    const { path: base } = this.model.parts.checkpoint;
    const places = this.models.list().map(({ id, path }) => ({ id, path: path ?? base }));
    const shown = places
      .toSorted((one, other) => other.path.length - one.path.length)
      .reduce((said, { id, path }) => withName(said, path, id), text);
    return this.fineTuning?.files.withoutPath(shown) ?? shown;
  }
}

/**
 * Replaces a path by a name wherever it is not part of a longer path. A path without separators is left alone: it may be any
 * word.
 */
function withName(text: string, path: string, name: string): string {
  if (!/[\\/]/.test(path)) return text;
  return text.replaceAll(path, (found, at: number) => {
    const isLonger =
      /[\w./\\-]/.test(text.charAt(at - 1)) ||
      /^\.?[\w-]/.test(text.slice(at + path.length, at + path.length + 2));
    return isLonger ? found : name;
  });
}
