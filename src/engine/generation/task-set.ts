/**
 * @file The adapters of many tasks beside one open model, by name, and which of them writes.
 *
 * Loading reads an adapter, compiles its programs unless an adapter of equal structure has, and runs them once; switching
 * then changes which tensors programs read and nothing else. Nothing is merged, so the base stays what it is.
 */
import { UsageError } from "../../errors.ts";
import type { ReadAdapter } from "../../format/adapters/read-adapter.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { nearest } from "../../messages/nearest.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { HeldAdapter } from "../adapters/held-adapter.ts";
import { type Completion, completeText } from "./completion.ts";
import type { GenerateRequest, Generator } from "./generator.ts";
import { checkPrompt } from "../prompts/prompt.ts";

/** A task that is loaded. */
export interface Task {
  readonly name: string;
  /** Folder of its adapter. */
  readonly path: string;
  readonly adapter: Adapter;
  /** Of the template that it was trained with; null: not known. */
  readonly chatTemplateHash: string | null;
}

/** A task as it is listed. */
export interface ListedTask {
  readonly name: string;
  readonly path: string;
  /** Name of the method. */
  readonly method: string;
  /** Numbers of its own. */
  readonly numTrained: number;
  readonly isActive: boolean;
}

/** A prompt with its task. */
export interface TaskRow extends Omit<GenerateRequest, "signal" | "onLogits"> {
  /** Its name, null: the base alone; the active one unless given. */
  readonly task?: string | null;
}

/** What tasks are switched on. */
export interface TaskSetParts {
  readonly base: BaseModel;
  readonly generator: Generator;
  /** Reads the adapter in a folder onto the base. */
  readonly read: (folder: string) => Promise<ReadAdapter>;
}

export class TaskSet {
  readonly #parts: TaskSetParts;
  readonly #tasks = new Map<string, Task>();
  /** Names whose adapters are being read. */
  readonly #loading = new Set<string>();
  /** How many batches have a task in work. */
  readonly #inBatches = new WeakMap<Task, number>();
  /** As the engine has them for its rows. */
  readonly #held = new Map<Task, Promise<HeldAdapter>>();
  #active: Task | null = null;

  /** `first`: the task whose adapter the generator has already. */
  constructor(parts: TaskSetParts, first: Task | null) {
    this.#parts = parts;
    this.#active = first;
    if (first) this.#tasks.set(first.name, first);
  }

  /** Name of the task that writes; null: the base alone. */
  get active(): string | null {
    return this.#active?.name ?? null;
  }

  /** All tasks, in the order in which they were loaded. */
  list(): ListedTask[] {
    return [...this.#tasks.values()].map((task) => ({
      name: task.name,
      path: task.path,
      method: task.adapter.method.name,
      numTrained: task.adapter.numTrained,
      isActive: task === this.#active,
    }));
  }

  /** A task by name. @throws UsageError "usage/adapter" when none of this name is loaded */
  get(name: string): Task {
    const task = this.#tasks.get(name);
    if (task) return task;
    const names = [...this.#tasks.keys()];
    const alike = nearest(name, names);
    const known = names.map((each) => `"${each}"`).join(", ");
    throw new UsageError(
      "usage/adapter",
      `Cannot use task "${name}": ${known === "" ? "no task is loaded, expected one" : `it is not loaded, expected one of ${known}`}`,
      { hint: alike === null ? "Load its adapter first." : `Did you mean "${alike}"?` },
    );
  }

  /**
   * Reads the adapter in a folder and makes it ready to be switched to; the task that writes stays.
   * @throws UsageError "usage/adapter" when the name is taken, or the adapter was made on another base or other codes;
   * as `readAdapter`
   */
  async load(name: string, folder: string): Promise<Task> {
    const { base, generator, read } = this.#parts;
    if (generator.session.base !== base) {
      throw new UsageError(
        "usage/adapter",
        `Cannot load task "${name}": an adapter is merged into the weights of "${base.name}", expected the base's own`,
        { hint: "Open the model with mergeAdapter false, or without an adapter." },
      );
    }
    if (this.#tasks.has(name) || this.#loading.has(name)) {
      throw new UsageError(
        "usage/adapter",
        `Cannot load task "${name}": the name is taken, expected another`,
        {
          hint: `Choose another name, or unload "${name}" first.`,
        },
      );
    }
    this.#loading.add(name);
    try {
      const { adapter, chatTemplateHash } = await read(folder);
      try {
        await generator.prepare(adapter);
      } catch (error) {
        adapter.release();
        throw error;
      }
      const task = { name, path: folder, adapter, chatTemplateHash };
      this.#tasks.set(name, task);
      return task;
    } finally {
      this.#loading.delete(name);
    }
  }

  /**
   * Lets another task write, or (null) the base alone; what was cached of the last text is forgotten.
   * @throws UsageError "usage/adapter" when none of this name is loaded; RangeError while a text is being written
   */
  async switch(name: string | null): Promise<void> {
    const task = name === null ? null : this.get(name);
    if (task === this.#active) return;
    await this.#parts.generator.switchTo(task?.adapter ?? null);
    this.#active = task;
  }

  /**
   * Writes after several prompts at once, each with a task of its own; the results are in their order. Rows of one task share
   * a batch, and so do rows of tasks whose method can tell rows apart; a signal ends them all. `onDone` is told of each that is whole.
   * @throws UsageError "usage/adapter" when a task is not loaded; as `ServingEngine.write`
   */
  async writeRows(
    requests: readonly TaskRow[],
    signal?: AbortSignal,
    onDone: (completion: Completion, row: number) => void = () => {},
  ): Promise<Completion[]> {
    const { engine } = this.#parts.generator;
    const tasks = requests.map(({ task = this.active }) => (task === null ? null : this.get(task)));
    for (const { promptIds } of requests) checkPrompt(engine.session.model, promptIds);
    const count = (change: 1 | -1): void => {
      for (const task of tasks)
        if (task) this.#inBatches.set(task, (this.#inBatches.get(task) ?? 0) + change);
    };
    count(1);
    try {
      const held = await Promise.all(tasks.map(async (task) => (task ? await this.#hold(task) : null)));
      return await Promise.all(
        requests.map(async (request, row) => {
          const completion = await completeText(
            engine.write({ ...request, adapter: held[row] ?? null, signal }),
          );
          onDone(completion, row);
          return completion;
        }),
      );
    } finally {
      await engine.afterStep();
      count(-1);
    }
  }

  #hold(task: Task): Promise<HeldAdapter> {
    let held = this.#held.get(task);
    if (!held)
      this.#held.set(task, (held = this.#parts.generator.engine.adapters.hold(task.adapter, task.name)));
    return held;
  }

  /** Forgets a task and frees its memory; if it is the one that writes, the base alone goes on. @throws as `switch` */
  async unload(name: string): Promise<void> {
    const task = this.get(name);
    if ((this.#inBatches.get(task) ?? 0) > 0) {
      throw new RangeError(`Cannot unload task "${name}": a batch with it is in work`);
    }
    if (task === this.#active) await this.switch(null);
    this.#tasks.delete(name);
    const held = await this.#held.get(task);
    this.#held.delete(task);
    if (held) await this.#parts.generator.engine.adapters.letGo(held);
    task.adapter.release();
  }

  /** Forgets all tasks; the model must not write any more. */
  release(): void {
    for (const { adapter } of this.#tasks.values()) adapter.release();
    this.#tasks.clear();
    this.#active = null;
  }
}
