/**
 * @file The checkpoints of a run, in its folder.
 *
 * A checkpoint is written atomically, so a killed run can always be resumed.
 */
import { join } from "node:path";
import { FormatError, UsageError } from "../../../errors.ts";
import { type AdapterOrigin, adapterFiles } from "../../../format/adapters/adapter.ts";
import { ADAPTER_FILES } from "../../../format/adapters/adapter-folder.ts";
import { writeFolderAtomic } from "../../../format/files/atomic.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { type FolderFile, textFile } from "../../../format/files/folder-file.ts";
import { checkpointFolder, checkpointSteps, isCheckpointFolder } from "../../../format/run-checkpoints.ts";
import { toFailedWrite } from "../../../messages/system-error.ts";
import type { Adapter } from "../../../peft/attach.ts";
import type { RunState } from "../../loop/run-state.ts";
import { entriesOf, removeEntry } from "./folder-entries.ts";
import { AVERAGED_FILE } from "./run-files.ts";
import { manifestFile } from "./manifest.ts";
import { type OptimizerState, optimizerFile } from "./optimizer-file.ts";
import { type ResumedRun, STATE_FILE, readCheckpoint } from "./read-checkpoint.ts";

/** Suffix of the name of a damaged checkpoint that was put aside. */
const DAMAGED = ".damaged";

/** The adapter of a run, and the run's state. */
export interface Trained {
  readonly adapter: Adapter;
  readonly origin: AdapterOrigin;
  readonly state: RunState;
}

/** A damaged checkpoint. */
interface Damaged {
  readonly step: number;
  readonly error: FormatError;
}

/** Makes the files of the adapter and of the run's state. */
export function trainedFiles({ adapter, origin, state }: Trained): FolderFile[] {
  return [...adapterFiles(adapter, origin), textFile(STATE_FILE, JSON.stringify(state, null, 2))];
}

/** Whether a name is that of a checkpoint, put aside or not. */
export function isOfCheckpoints(name: string): boolean {
  return isCheckpointFolder(name.replace(DAMAGED, ""));
}

/** A hint for a folder with these files and no checkpoint: how to start a new run, from the result if there is one. */
function anewFrom(names: readonly string[]): string {
  const elsewhere = "Start a new run in another folder, from";
  if (names.includes(ADAPTER_FILES[0])) return `${elsewhere} the adapter in this one with --init-adapter`;
  if (names.includes("config.json")) return `${elsewhere} the model in this one with --model`;
  return "Leave resume out and start over, in this folder with --overwrite";
}

export class Checkpoints {
  readonly #folder: string;

  /** `folder`: the folder of the run. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The path of a checkpoint. */
  at(step: number): string {
    return join(this.#folder, checkpointFolder(step));
  }

  /** Steps of all checkpoints, the newest last. */
  async steps(): Promise<number[]> {
    return checkpointSteps(await entriesOf(this.#folder));
  }

  /** Step of the newest checkpoint; null when there is none. */
  async newest(): Promise<number | null> {
    return (await this.steps()).at(-1) ?? null;
  }

  /** Checks that there is a checkpoint to resume from. @throws UsageError "usage/resume" when there is none. */
  async requireSome(): Promise<void> {
    const names = await entriesOf(this.#folder);
    if (names.includes(AVERAGED_FILE)) {
      throw new UsageError(
        "usage/resume",
        `Cannot resume "${this.#folder}": it contains an averaged training, expected a run`,
        { hint: "Continue it with trainAveraged, or choose another folder." },
      );
    }
    if (checkpointSteps(names).length > 0) return;
    if (names.length === 0) {
      throw new UsageError("usage/resume", `Cannot resume "${this.#folder}": there is no run`, {
        hint: "Check the path, or leave resume out to start a run there.",
      });
    }
    throw new UsageError("usage/resume", `Cannot resume "${this.#folder}": it contains no checkpoint`, {
      hint: `${anewFrom(names)}; --save-every saves checkpoints during the run.`,
    });
  }

  /**
   * Writes a checkpoint, then removes older ones beyond `keepLast`, except the best one, also the best before an evaluation that was only
   * made because the run ended.
   * @throws FailedError "failed/write"
   */
  async save(trained: Trained, optimizer: OptimizerState, keepLast: number): Promise<void> {
    const { adapter, state } = trained;
    const { global_step: step } = state;
    const files = [...trainedFiles(trained), optimizerFile(adapter, optimizer)];
    await writeFolderAtomic(this.at(step), files, { seal: (written) => manifestFile(step, written) });
    const old = (await this.steps()).slice(0, -keepLast);
    const best = [state.best_global_step, state.found_before_end?.best_global_step];
    for (const other of old) if (!best.includes(other)) await removeEntry(this.at(other));
  }

  /**
   * Reads the newest intact checkpoint into an adapter and its optimizer's state, and calls `cutLogs` to cut the logs back to it; returns
   * the state of the run. Puts newer damaged ones aside, and reports each to `tell`.
   * @throws UsageError "usage/resume" when there is none, or it was made with other settings; FormatError when all are
   * damaged.
   */
  async resume(
    into: ResumedRun,
    cutLogs: (state: RunState) => Promise<void>,
    tell: (note: string) => void,
  ): Promise<RunState> {
    await this.requireSome();
    const damaged: Damaged[] = [];
    for (const step of (await this.steps()).toReversed()) {
      try {
        const state = await readCheckpoint(this.at(step), step, into);
        for (const bad of damaged) tell(await this.#putAside(bad, step));
        await cutLogs(state);
        return state;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        damaged.push({ step, error });
      }
    }
    const found = damaged.map(({ error }) => error.message.replace(/^Cannot resume /, ""));
    throw new FormatError(
      "format/file",
      `Cannot resume "${this.#folder}": none of its checkpoints is intact\n  ${found.join("\n  ")}`,
      {
        hint: "Start a new run in another folder, or put an intact copy of a checkpoint here.",
        cause: damaged[0]?.error,
      },
    );
  }

  /** Renames a damaged checkpoint so that it no longer counts as one; returns a note. `taken`: the step from which the run resumes. */
  async #putAside({ step, error: { message } }: Damaged, taken: number): Promise<string> {
    const aside = `${this.at(step)}${DAMAGED}`;
    try {
      await disk().rm(aside, { recursive: true, force: true });
      await disk().rename(this.at(step), aside);
    } catch (error) {
      throw toFailedWrite(error, aside);
    }
    return `Checkpoint ${step} is damaged, so the run resumes from ${taken}; the damaged one is kept as "${aside}" (${message})`;
  }
}
