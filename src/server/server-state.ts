/** @file The state that all routes of one server share. */
import type { ServingModel } from "../engine/serving-model.ts";
import { FormatError, toldWhole, UsageError } from "../errors.ts";
import { nearest } from "../messages/nearest.ts";
import type { AdapterRoot } from "./adapter-root.ts";
import { ApiError, stopping } from "./api-error.ts";
import type { Job } from "../jobs/job.ts";
import type { JobQueue } from "../jobs/queue/job-queue.ts";
import type { StateFolder } from "../jobs/state-folder.ts";
import type { Limits } from "./requests/limits.ts";
import { RunningRequests } from "./running-requests.ts";
import type { ServerMetrics } from "./metrics/metrics.ts";
import type { Adapter } from "../peft/attach.ts";
import { TextPlaces } from "./texts/text-places.ts";
import { waitInTime } from "./within-time.ts";

interface ServerStateParts {
  readonly model: ServingModel;
  /** Name of the base for clients. */
  readonly name: string;
  readonly metrics: ServerMetrics;
  readonly limits: Limits;
  /** Is told of errors that are nobody's fault but ours. */
  readonly onError: (error: unknown) => void;
  /** The folder from which clients may load adapters; null: they may load none. */
  readonly adapterRoot: AdapterRoot | null;
  /** What time it is, in milliseconds. */
  readonly now: () => number;
  /** A text that no other call gives. */
  readonly newId: () => string;
  /** Draws a seed for a request that has none. */
  readonly newSeed: () => number;
}

/** The jobs of a server, and where their files are. */
export interface FineTuning {
  /** Fingerprint of the base. A job is for a base with this fingerprint, whatever its name is. */
  readonly fingerprint: string;
  readonly files: StateFolder;
  readonly queue: JobQueue;
  /** Holds a job's settings against what trainings take. @throws UsageError that lists what is wrong with them */
  readonly requireSettings: (job: Job) => void;
  /** Lets requests ask for what a job has trained by this name, if one has, wherever it trains, until it is removed, wherever that is. */
  readonly find: (name: string) => Promise<void>;
  /** Whether a name is that of what a job trains, or has trained. */
  readonly owns: (name: string) => Promise<boolean>;
  /** Lets requests ask again for what a job has trained, by a name that an operator has taken away. */
  readonly giveBack: (name: string) => Promise<void>;
  /** Removes what a job has trained, by its name; false: no job has trained that. */
  readonly removeResult: (name: string) => Promise<boolean>;
  /** Takes up what earlier processes have left. */
  readonly start: () => Promise<void>;
  /** Stops a training that runs here, after its step, with a checkpoint: the next process goes on. */
  readonly stop: () => Promise<void>;
  /** The same, and closes the table, which no request may need any more. */
  readonly close: () => Promise<void>;
}

/** A model as clients choose one. */
export interface ListedModel {
  readonly id: string;
  /** When the model was loaded, in seconds since 1970. */
  readonly created: number;
  /** Folder of an adapter; null: it is the base. */
  readonly path: string | null;
}

export class ServerState {
  readonly model: ServingModel;
  readonly name: string;
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
  readonly newSeed: () => number;
  /** Null: this server trains nothing. */
  fineTuning: FineTuning | null = null;
  /** When the server stops: no new requests, and those that run have a while. */
  isDraining = false;
  /** What the server waits for before its jobs begin, as clients are told; null: for nothing. */
  awaits: string | null = null;
  readonly #ending = new AbortController();
  readonly #createdOf = new Map<string, number>();
  /** Adapters that are read because a request has named them. */
  readonly #arriving = new Map<string, Promise<void>>();
  /** Names that an operator has taken away: no request brings them back. */
  readonly #withdrawn = new Set<string>();

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
    this.newSeed = parts.newSeed;
    this.#createdOf.set(this.name, this.seconds());
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

  /** Base and adapters. */
  list(): ListedModel[] {
    const created = (id: string): number => this.#createdOf.get(id) ?? 0;
    return [
      { id: this.name, created: created(this.name), path: null },
      ...this.model.engine.adapters
        .list()
        .map(({ name, path }) => ({ id: name, created: created(name), path })),
    ];
  }

  /** A text as clients may read it: with what they call the folders of this machine. */
  named(text: string): string {
    const { path: base } = this.model.parts.checkpoint;
    const places = this.list().map(({ id, path }) => ({ id, path: path ?? base }));
    const shown = places
      .toSorted((one, other) => other.path.length - one.path.length)
      .reduce((said, { id, path }) => said.replaceAll(path, id), text);
    return this.fineTuning?.files.withoutPath(shown) ?? shown;
  }

  /**
   * The adapter that a request means by its model; null: the base.
   * @throws ApiError 404, 400 for one that cannot be served, 504 when it is not found and read in time
   */
  async adapterOf(model: string): Promise<string | null> {
    return model === this.name ? null : await waitInTime(this, () => this.#find(model));
  }

  /** Lets a request look at an adapter, in memory. @throws ApiError 504 when it is not read in time; as acquiring it */
  async withAdapter<T>(name: string, look: (adapter: Adapter) => T): Promise<T> {
    const { adapters } = this.model.engine;
    return await waitInTime(this, async (signal) => {
      const held = await adapters.acquire(name, signal);
      if (!held) throw signal.reason;
      try {
        return look(held.adapter);
      } finally {
        adapters.release(held);
      }
    });
  }

  async #find(model: string): Promise<string> {
    const { adapters } = this.model.engine;
    // What jobs have trained comes and goes elsewhere too, since this server last looked.
    await this.fineTuning?.find(model);
    if (!adapters.has(model)) await this.#arrive(model);
    if (adapters.has(model)) return model;
    const inRoot = (await this.adapterRoot?.namesBeside(model)) ?? [];
    const alike = nearest(model, [...this.list().map(({ id }) => id), ...inRoot]);
    const known = alike === null ? `the base is "${this.name}"` : `did you mean "${alike}"?`;
    throw new ApiError(404, `The model "${model}" does not exist: ${known}`, {
      code: "model_not_found",
      param: "model",
    });
  }

  /** Loads the adapter whose folder has a name, if one has, once for all who ask meanwhile. */
  async #arrive(name: string): Promise<void> {
    const folder = this.#withdrawn.has(name) ? null : await this.adapterRoot?.findNamed(name);
    // It may have come meanwhile.
    if (folder == null || this.model.engine.adapters.has(name)) return;
    const begin = (): Promise<void> =>
      this.loadFor(name, folder, { path: name, param: "model" }).finally(() => this.#arriving.delete(name));
    const arriving = this.#arriving.get(name) ?? begin();
    this.#arriving.set(name, arriving);
    await arriving.catch((error: unknown) => {
      // An operator may have loaded it at the same time.
      if (!this.model.engine.adapters.has(name)) throw error;
    });
  }

  /** As `load`, for a client, who knows the folder by a path. @throws ApiError 400 of a key, where what is in it cannot be served */
  async loadFor(
    name: string,
    folder: string,
    { path, param, ...more }: { path: string; param: string; mayReplace?: boolean; signal?: AbortSignal },
  ): Promise<void> {
    try {
      await this.load(name, folder, more);
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof UsageError)) throw error;
      throw new ApiError(400, this.named(toldWhole(error).replaceAll(folder, path)), {
        code: error.code,
        param,
      });
    }
  }

  /** Lets requests ask for an adapter, once it has been read. @throws as `AdapterPool.add`; UsageError "usage/adapter" */
  async load(
    name: string,
    path: string,
    options: { mayReplace?: boolean; signal?: AbortSignal } = {},
  ): Promise<void> {
    if (name === this.name) {
      throw new UsageError("usage/adapter", `Cannot name an adapter "${name}": the model has that name`, {
        hint: "Choose another name.",
      });
    }
    await this.model.engine.adapters.add(name, path, options);
    this.#withdrawn.delete(name);
    this.#createdOf.set(name, this.seconds());
  }

  /** Lets requests ask for an adapter, which is read when one does. @throws UsageError "usage/adapter" when the name is taken */
  register(name: string, path: string, created = this.seconds()): void {
    this.model.engine.adapters.register(name, path);
    this.#createdOf.set(name, created);
  }

  /** Forgets an adapter; texts that have it go on. */
  forget(name: string): void {
    this.model.engine.adapters.unregister(name);
    this.#createdOf.delete(name);
  }

  /** Forgets an adapter until it is loaded again. */
  unload(name: string): void {
    this.forget(name);
    this.#withdrawn.add(name);
  }

  /** Whether an operator has taken a name away. */
  isWithdrawn(name: string): boolean {
    return this.#withdrawn.has(name);
  }

  /** Gives back a name that an operator has taken away. */
  giveBack(name: string): void {
    this.#withdrawn.delete(name);
  }
}
