/** @file The base and the adapters of a server, by their names for clients: lists, finds, loads and unloads them. */
import type { ClassOptions } from "../data/examples/class-example.ts";
import type { ServingModel } from "../engine/serving-model.ts";
import { FormatError, toldWhole, UsageError } from "../errors.ts";
import { orNearest } from "../messages/nearest.ts";
import type { Adapter } from "../peft/attach.ts";
import type { AdapterRoot } from "./adapter-root.ts";
import { ApiError } from "./api-error.ts";
import type { FineTuning } from "./fine-tuning.ts";
import { type RequestTime, waitInTime } from "./within-time.ts";

/** The parts of the server's state that are needed. */
interface Server extends RequestTime {
  readonly model: ServingModel;
  /** Name of the base for clients. */
  readonly name: string;
  readonly adapterRoot: AdapterRoot | null;
  readonly fineTuning: Pick<FineTuning, "find"> | null;
  seconds(): number;
  named(text: string): string;
}

/** A model that clients can choose. */
export interface ListedModel {
  readonly id: string;
  /** When the model was loaded, in seconds since 1970. */
  readonly created: number;
  /** Folder of an adapter; null: the base. */
  readonly path: string | null;
}

export class ServedModels {
  readonly #server: Server;
  readonly #createdOf = new Map<string, number>();
  /** Adapters that are being read because a request named them. */
  readonly #arriving = new Map<string, Promise<void>>();
  /** Names that an operator has unloaded: requests do not load them again. */
  readonly #withdrawn = new Set<string>();

  constructor(server: Server) {
    this.#server = server;
    this.#createdOf.set(server.name, server.seconds());
  }

  get #adapters(): ServingModel["engine"]["adapters"] {
    return this.#server.model.engine.adapters;
  }

  /** The base and its adapters. */
  list(): ListedModel[] {
    const created = (id: string): number => this.#createdOf.get(id) ?? 0;
    return [
      { id: this.#server.name, created: created(this.#server.name), path: null },
      ...this.#adapters.list().map(({ name, path }) => ({ id: name, created: created(name), path })),
    ];
  }

  /**
   * Finds the adapter that a request names as its model; null: the base.
   * @throws ApiError 404, 400 for one that cannot be served, 504 when it is not found and read in time
   */
  async adapterOf(model: string): Promise<string | null> {
    return model === this.#server.name ? null : await waitInTime(this.#server, () => this.#find(model));
  }

  /** As `adapterOf`, for writing or embedding a text. @throws ApiError 400 when the model predicts classes instead */
  async writerOf(model: string): Promise<string | null> {
    const adapter = await this.adapterOf(model);
    if (this.#server.model.classes === null) return adapter;
    throw otherTask(
      `The model "${model}" is a classification model and generates no text: send texts to /classify`,
    );
  }

  /** As `adapterOf`, for classification. @throws ApiError 400 when the model writes text instead */
  async classifierOf(
    model: string,
  ): Promise<{ readonly adapter: string | null; readonly classes: ClassOptions }> {
    const adapter = await this.adapterOf(model);
    const { classes } = this.#server.model;
    if (classes !== null) return { adapter, classes };
    throw otherTask(
      `The model "${model}" generates text and predicts no classes: start a server with a model or an adapter that does`,
    );
  }

  /** Calls `look` with an adapter in memory. @throws ApiError 504 when it is not read in time; as acquiring it */
  async withAdapter<T>(name: string, look: (adapter: Adapter) => T): Promise<T> {
    const adapters = this.#adapters;
    return await waitInTime(this.#server, async (signal) => {
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
    const adapters = this.#adapters;
    // Results of jobs may have been added or removed elsewhere since this server last looked.
    await this.#server.fineTuning?.find(model);
    if (!adapters.has(model)) await this.#arrive(model);
    if (adapters.has(model)) return model;
    const inRoot = (await this.#server.adapterRoot?.namesBeside(model)) ?? [];
    const meant = orNearest(model, [...this.list().map(({ id }) => id), ...inRoot]);
    const known = meant || `: the base is "${this.#server.name}"`;
    throw new ApiError(404, "model_not_found", `The model "${model}" does not exist${known}`, {
      param: "model",
    });
  }

  /** Loads the adapter whose folder has this name, if there is one; requests that ask meanwhile share the loading. */
  async #arrive(name: string): Promise<void> {
    const folder = this.#withdrawn.has(name) ? null : await this.#server.adapterRoot?.findNamed(name);
    // It may have been loaded meanwhile.
    if (folder == null || this.#adapters.has(name)) return;
    const begin = (): Promise<void> =>
      this.loadFor(name, folder, { path: name, param: "model" }).finally(() => this.#arriving.delete(name));
    const arriving = this.#arriving.get(name) ?? begin();
    this.#arriving.set(name, arriving);
    await arriving.catch((error: unknown) => {
      // An operator may have loaded it at the same time.
      if (!this.#adapters.has(name)) throw error;
    });
  }

  /**
   * As `load`, for a client that knows the folder by `path`. @throws ApiError 400 naming `param` for contents that cannot be
   * served
   */
  async loadFor(
    name: string,
    folder: string,
    { path, param, ...more }: { path: string; param: string; mayReplace?: boolean; signal?: AbortSignal },
  ): Promise<void> {
    try {
      await this.load(name, folder, more);
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof UsageError)) throw error;
      throw new ApiError(
        400,
        error.code,
        this.#server.named(toldWhole(error).replaceAll(folder, () => path)),
        {
          param,
        },
      );
    }
  }

  /** Makes an adapter available by name, after reading it. @throws as `AdapterPool.add`; UsageError "usage/adapter" */
  async load(
    name: string,
    path: string,
    options: { mayReplace?: boolean; signal?: AbortSignal } = {},
  ): Promise<void> {
    if (name === this.#server.name) {
      throw new UsageError(
        "usage/adapter",
        `Cannot name an adapter "${name}": the model has that name, expected another`,
        {
          hint: "Choose another name.",
        },
      );
    }
    await this.#adapters.add(name, path, options);
    this.#withdrawn.delete(name);
    this.#createdOf.set(name, this.#server.seconds());
  }

  /** Makes an adapter available by name; it is read at first use. @throws UsageError "usage/adapter" when the name is taken */
  register(name: string, path: string, created = this.#server.seconds()): void {
    this.#adapters.register(name, path);
    this.#createdOf.set(name, created);
  }

  /** Forgets an adapter; texts that use it continue. */
  forget(name: string): void {
    this.#adapters.unregister(name);
    this.#createdOf.delete(name);
  }

  /** Forgets an adapter until it is loaded again. */
  unload(name: string): void {
    this.forget(name);
    this.#withdrawn.add(name);
  }

  /** Whether an operator has unloaded a name. */
  isWithdrawn(name: string): boolean {
    return this.#withdrawn.has(name);
  }

  /** Allows again a name that an operator has unloaded. */
  giveBack(name: string): void {
    this.#withdrawn.delete(name);
  }
}

function otherTask(message: string): ApiError {
  return new ApiError(400, "usage/model", message, { param: "model" });
}
