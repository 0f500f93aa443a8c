/**
 * @file The adapters of many tasks beside one open model, by name; one of them is active.
 *
 * Loading reads an adapter, compiles its programs unless an adapter of equal structure has done so, and runs them once. Switching
 * then only changes which tensors programs read. Nothing is merged, so the base does not change. A task stays until it is
 * unloaded; the adapters of a server come and go with requests (`adapters/adapter-pool`).
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import type { ReadAdapter } from "../../format/adapters/read-adapter.ts";
import { A_FUNCTION, A_NAME, checkArguments, lazily } from "../../messages/arguments.ts";
import { withTextSettings } from "../serving/text-settings.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { didYouMean } from "../../messages/nearest.ts";
import type { Adapter } from "../../peft/attach.ts";
import { madeOnce } from "../../runtime/made-once.ts";
import { allOf } from "../all-of.ts";
import { type HeldAdapter, nameTaken } from "../adapters/held-adapter.ts";
import { type Completion, completeText } from "./completion.ts";
import type { GenerateRequest, Generator } from "./generator.ts";
import { closedModel } from "../opening/closed-model.ts";
import { checkPrompt } from "../prompts/prompt.ts";

/** A task that is loaded. */
export interface Task {
  readonly name: string;
  /** Folder of its adapter. */
  readonly path: string;
  readonly adapter: Adapter;
  /** Hash of the chat template that it was trained with; null: not known. */
  readonly chatTemplateHash: string | null;
}

/** A task as `list` describes it. */
export interface ListedTask {
  readonly name: string;
  readonly path: string;
  readonly method: string;
  /** Number of trained parameters. */
  readonly numTrained: number;
  readonly isActive: boolean;
}

/** A text to write in a batch, with its task. */
export interface TaskRow extends Omit<GenerateRequest, "signal" | "onLogits"> {
  /** Name of the task, null: the base alone; the active task unless given. */
  readonly task?: string | null;
}

/** The parts of a task set: the base, the generator that switches between tasks, and what reads their adapters. */
export interface TaskSetParts {
  readonly base: BaseModel;
  readonly generator: Generator;
  /** Reads the adapter in a folder onto the base. */
  readonly read: (folder: string) => Promise<ReadAdapter>;
}

const NAME = lazily(() => z.strictObject({ name: A_NAME }));
const LOADED = lazily(() => NAME().extend({ folder: A_NAME }));
const ROWS = lazily(() => z.strictObject({ requests: z.array(z.unknown()), onDone: A_FUNCTION }));

interface Entry extends Task {
  /** Running batches that use the task. */
  numBatches: number;
}

/** Adapters by name beside one open model; one of them is active. */
export class TaskSet {
  readonly #parts: TaskSetParts;
  readonly #tasks = new Map<string, Entry>();
  /** Adapters as the engine holds them for its rows, from the first batch that uses them. */
  readonly #held = new Map<string, Promise<HeldAdapter>>();
  /** Names that are being loaded or unloaded, and cannot be taken meanwhile. */
  readonly #changing = new Set<string>();
  #active: Entry | null = null;
  #isReleased = false;
  /** Settles when all requested switches are made or have failed. */
  #lastSwitch: Promise<void> = Promise.resolve();

  /** `first`: the task whose adapter the generator uses already. */
  constructor(parts: TaskSetParts, first: Task | null) {
    this.#parts = parts;
    if (first) this.#active = this.#enter(first);
  }

  #enter(task: Task): Entry {
    const entry = { ...task, numBatches: 0 };
    this.#tasks.set(task.name, entry);
    return entry;
  }

  /** Name of the active task; null: the base alone. */
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
    return this.#entryOf("get", name);
  }

  /** Finds a task; `call` names the method for messages. */
  #entryOf(call: string, name: string): Entry {
    const task = this.#tasks.get(name);
    if (task) return task;
    checkArguments(call, NAME, { name });
    this.#requireOpen(`use task "${name}"`);
    const names = [...this.#tasks.keys()];
    const known = names.map((each) => `"${each}"`).join(", ");
    throw new UsageError(
      "usage/adapter",
      `Cannot use task "${name}": ${known === "" ? "no task is loaded, expected one" : `it is not loaded, expected one of ${known}`}`,
      {
        hint: didYouMean(name, names) ?? `Load its adapter first, for example with --adapter ${name}=FOLDER.`,
      },
    );
  }

  /**
   * Reads the adapter in a folder and prepares it for `switch`; the active task does not change.
   * @throws UsageError "usage/adapter" when the name is taken, or the adapter was made on another base or other codes; as
   * `readAdapter`
   */
  async load(name: string, folder: string): Promise<Task> {
    checkArguments("load", LOADED, { name, folder });
    const { base, generator, read } = this.#parts;
    this.#requireOpen(`load task "${name}"`);
    if (generator.session.base !== base) {
      throw new UsageError(
        "usage/adapter",
        `Cannot load task "${name}": an adapter is merged into the weights of "${base.name}", expected the base's own`,
        { hint: "Open the model with mergeAdapter false, or without an adapter." },
      );
    }
    if (this.#tasks.has(name) || this.#changing.has(name)) throw nameTaken("task", name);
    this.#changing.add(name);
    try {
      const { adapter, chatTemplateHash } = await read(folder);
      try {
        await generator.prepare(adapter);
        this.#requireOpen(`load task "${name}"`);
      } catch (error) {
        adapter.release();
        throw error;
      }
      return this.#enter({ name, path: folder, adapter, chatTemplateHash });
    } finally {
      this.#changing.delete(name);
    }
  }

  /**
   * Makes another task active, or (null) the base alone; what was cached of the last text is forgotten.
   * @throws UsageError "usage/adapter" when none of this name is loaded, "usage/state" while a text is being written and after
   * the model was closed
   */
  async switch(name: string | null): Promise<void> {
    this.#requireOpen("switch to another task");
    const find = (): Entry | null => (name === null ? null : this.#entryOf("switch", name));
    // Checked both now and when its turn comes: the task may be unloaded until then.
    find();
    await this.#inTurn(() => this.#activate(find()));
  }

  async #activate(task: Entry | null): Promise<void> {
    if (task === this.#active) return;
    await this.#parts.generator.switchTo(task?.adapter ?? null);
    this.#active = task;
  }

  /** Makes switches one after another, so that the last requested one stays in effect. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#lastSwitch.then(change);
    this.#lastSwitch = done.catch(() => {});
    return done;
  }

  /**
   * Writes after several prompts at once, each with its own task; the results are in the order of the prompts. Rows of one task
   * share a batch, and so do rows of tasks whose method allows several adapters in a batch. A signal, or the failure of one text,
   * ends them all. `onDone` receives each finished text.
   * @throws UsageError "usage/adapter" when a task is not loaded; as `ServingEngine.write`
   */
  async writeRows(
    requests: readonly TaskRow[],
    signal?: AbortSignal,
    onDone: (completion: Completion, row: number) => void = () => {},
  ): Promise<Completion[]> {
    checkArguments("writeRows", ROWS, { requests, onDone });
    for (const request of requests) withTextSettings({ ...request, signal });
    const { engine } = this.#parts.generator;
    const tasks = requests.map(({ task = this.active }) =>
      task === null ? null : this.#entryOf("writeRows", task),
    );
    for (const { promptIds } of requests) checkPrompt(engine.session.model, promptIds);
    const count = (change: 1 | -1): void => {
      for (const task of tasks) if (task) task.numBatches += change;
    };
    count(1);
    const failed = new AbortController();
    const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
    try {
      const held = await Promise.all(tasks.map(async (task) => (task ? await this.#hold(task) : null)));
      const completions: Completion[] = [];
      const rows = requests.entries();
      const writeNext = async (): Promise<void> => {
        for (const [row, request] of rows) {
          if (failed.signal.aborted) return;
          const text = engine.write({ ...request, adapter: held[row] ?? null, signal: either });
          const completion = (completions[row] = await completeText(text));
          if (completion.finishReason !== "aborted") onDone(completion, row);
        }
      };
      // As many texts as fit into a pass, and as many more that wait: each costs memory and a listener of the signal.
      await allOf(Array.from({ length: 2 * engine.maxRunning }, writeNext), () => failed.abort());
      return completions;
    } finally {
      await engine.afterStep();
      count(-1);
    }
  }

  #hold({ name, adapter }: Task): Promise<HeldAdapter> {
    return madeOnce(this.#held, name, () => this.#parts.generator.engine.adapters.hold(adapter, name));
  }

  /** Forgets a task and frees its memory; if it is active, the base alone becomes active. @throws as `switch` */
  async unload(name: string): Promise<void> {
    const task = this.#entryOf("unload", name);
    if (task.numBatches > 0) {
      throw new UsageError("usage/state", `Cannot unload task "${name}": a running batch uses it`, {
        hint: "Wait for the batch to end, or abort it through its signal.",
      });
    }
    // From here on the task cannot be found: a text that began while this waits would lose its adapter.
    this.#tasks.delete(name);
    this.#changing.add(name);
    try {
      await this.#inTurn(async () => {
        if (task === this.#active) await this.#activate(null);
      });
    } catch (error) {
      this.#tasks.set(name, task);
      throw error;
    } finally {
      this.#changing.delete(name);
    }
    const held = this.#held.get(name);
    this.#held.delete(name);
    if (held) await this.#parts.generator.engine.adapters.letGo(await held);
    task.adapter.release();
  }

  #requireOpen(action: string): void {
    if (this.#isReleased) throw closedModel(action, this.#parts.base.name);
  }

  /** Forgets all tasks; the model must not write any more. */
  release(): void {
    this.#isReleased = true;
    for (const { adapter } of this.#tasks.values()) adapter.release();
    this.#tasks.clear();
    this.#held.clear();
    this.#active = null;
  }
}
