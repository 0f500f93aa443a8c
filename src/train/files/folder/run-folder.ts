/**
 * @file The output folder of a run: checkpoints, the log, the state from which it is resumed, the result.
 *
 * A checkpoint folder appears whole or not at all, so what a killed run leaves behind can always be resumed.
 */
import { join, resolve } from "node:path";
import { FormatError, UsageError } from "../../../errors.ts";
import { type AdapterOrigin, adapterFiles } from "../../../format/adapters/adapter.ts";
import { restoreAdapter } from "../../../format/by-path.ts";
import { writeFolderAtomic, writeTextAtomic } from "../../../format/files/atomic.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { isLock } from "../../../format/files/disk/folder-lock.ts";
import { refuseTilde } from "../../../format/files/disk/new-folder.ts";
import { isTemporary, sweepTemporaries } from "../../../format/files/disk/temporaries.ts";
import { checkpointFolder, checkpointSteps, isCheckpointFolder } from "../../../format/run-checkpoints.ts";
import { textFile } from "../../../format/files/folder-file.ts";
import { systemCode, toFailedWrite } from "../../../messages/system-error.ts";
import type { Adapter } from "../../../peft/attach.ts";
import type { RunState } from "../../loop/run-state.ts";
import type { LogEntry, LogFormat } from "../../logs/log-format.ts";
import { LOG_FORMATS } from "../../logs/log-formats.ts";
import { OF_A_RUN, OF_A_RUN_ALONE, SAMPLES } from "./run-files.ts";
import { RunLogs } from "./run-logs.ts";
import { manifestFile } from "./manifest.ts";
import { type OptimizerState, optimizerFile } from "./optimizer-file.ts";
import { type Resumed, STATE_FILE, readCheckpoint } from "./read-checkpoint.ts";

/** What is added to the name of a checkpoint from which no run can be resumed. */
const DAMAGED = ".damaged";
/** What earlier versions called folders that were being written. */
const OLD_TEMPORARY = /^\.(checkpoint-\d+|staging)\.[0-9a-f]{8}\.tmp$/;

/** What a run keeps in its folder. */
export interface FolderForms {
  readonly logs: readonly LogFormat[];
  readonly hasSamples: boolean;
}

export class RunFolder {
  readonly path: string;
  readonly #logs: RunLogs;
  readonly #samples: RunLogs;

  constructor(path: string, { logs, hasSamples }: FolderForms) {
    this.path = path;
    this.#logs = new RunLogs(path, logs, LOG_FORMATS);
    this.#samples = new RunLogs(path, hasSamples ? [SAMPLES] : [], [SAMPLES]);
  }

  /**
   * Checks that a new run may write here, before work begins.
   * @throws UsageError "usage/output" when the folder holds something that may not be replaced.
   */
  async check(overwrite: boolean): Promise<void> {
    refuseTilde(this.path);
    const found = await this.#entries();
    if (found.length === 0) return;
    const isRun = found.some((name) => OF_A_RUN_ALONE.has(name) || isCheckpointFolder(name));
    if (isRun && overwrite) return;
    throw new UsageError(
      "usage/output",
      `Cannot write to output "${this.path}": it holds ${isRun ? "another run" : "files"}, expected an empty or new folder`,
      {
        hint: !isRun
          ? "Choose another folder."
          : found.some(isCheckpointFolder)
            ? "Choose another folder, go on with --resume, or replace it with --overwrite."
            : "Choose another folder, or replace it with --overwrite: it has no checkpoint to go on from.",
      },
    );
  }

  /** Checks that the run does not read from where it writes. @throws UsageError "usage/output" */
  refuseInput(what: string, path: string): void {
    if (!`${resolve(path)}/`.startsWith(`${resolve(this.path)}/`)) return;
    throw new UsageError(
      "usage/output",
      `Cannot write to output "${this.path}": ${what} "${path}" lies in it, expected another folder`,
      { hint: "Choose another output folder." },
    );
  }

  /** Checks that there is something to go on from. @throws UsageError "usage/resume" when there is not. */
  async checkResumable(): Promise<void> {
    if ((await this.newest()) !== null) return;
    throw new UsageError("usage/resume", `Cannot resume "${this.path}": it holds no checkpoint`, {
      hint: "Start a new run in another folder, from the adapter in this one with --init-adapter if there is one; --save-every makes checkpoints on the way.",
    });
  }

  /** Names in the folder, but for locks and what is being written; none when it does not exist. @throws UsageError "usage/output" when it is no folder. */
  async #entries(): Promise<string[]> {
    try {
      const names = await disk().readdir(this.path);
      return names.filter((name) => !isLock(name) && !isTemporary(name));
    } catch (error) {
      const code = systemCode(error);
      if (code === "ENOENT") return [];
      if (code !== "ENOTDIR") throw toFailedWrite(error, this.path);
      throw new UsageError(
        "usage/output",
        `Cannot write to output "${this.path}": it is a file or lies in one, expected an empty or new folder`,
        { hint: "Choose another folder." },
      );
    }
  }

  /** Takes out what an earlier run wrote, and nothing else, for a new run, and writes the first files. @throws FailedError "failed/write" when it cannot be written. */
  async begin(files: Readonly<Record<string, string>>): Promise<void> {
    try {
      for (const name of await this.#entries()) {
        if (isCheckpointFolder(name.replace(DAMAGED, "")) || OF_A_RUN.has(name))
          await disk().rm(join(this.path, name), { recursive: true });
      }
    } catch (error) {
      throw toFailedWrite(error, this.path);
    }
    try {
      await this.#logs.begin();
      await this.#samples.begin();
      for (const [name, text] of Object.entries(files)) await writeTextAtomic(join(this.path, name), text);
    } catch (error) {
      // Empty logs would be taken for a run.
      for (const name of OF_A_RUN)
        await disk()
          .rm(join(this.path, name), { force: true })
          .catch(() => {});
      throw toFailedWrite(error, this.path);
    }
  }

  /** Removes what runs that were killed left half-written; whoever calls holds the lock. */
  async sweep(): Promise<void> {
    await sweepTemporaries(this.path);
    const names = await disk()
      .readdir(this.path)
      .catch(() => []);
    for (const name of names.filter((each) => OLD_TEMPORARY.test(each)))
      await this.#remove(join(this.path, name));
  }

  async #checkpoints(): Promise<number[]> {
    return checkpointSteps(await this.#entries());
  }

  /** The path of a checkpoint. */
  checkpoint(step: number): string {
    return join(this.path, checkpointFolder(step));
  }

  /** Step of the newest checkpoint; null when there is none. */
  async newest(): Promise<number | null> {
    return (await this.#checkpoints()).at(-1) ?? null;
  }

  /** Writes a checkpoint, then drops the older ones beyond `keepLast`, but never the best, nor that of a longer run. */
  async save(
    adapter: Adapter,
    origin: AdapterOrigin,
    optimizer: OptimizerState,
    state: RunState,
    keepLast: number,
  ): Promise<void> {
    const { global_step: step } = state;
    const files = [
      ...adapterFiles(adapter, origin),
      optimizerFile(adapter, optimizer),
      textFile(STATE_FILE, JSON.stringify(state, null, 2)),
    ];
    await writeFolderAtomic(this.checkpoint(step), files, { seal: (written) => manifestFile(step, written) });
    const old = (await this.#checkpoints()).slice(0, -keepLast);
    const best = [state.best_global_step, state.found_before_end?.best_global_step];
    for (const other of old) if (!best.includes(other)) await this.#remove(this.checkpoint(other));
  }

  async #remove(path: string): Promise<void> {
    try {
      await disk().rm(path, { recursive: true });
    } catch (error) {
      throw toFailedWrite(error, path);
    }
  }

  /**
   * Reads the newest checkpoint that is whole into an adapter and the state of its optimizer; returns where the run
   * stands. Damaged ones after it are put aside, which `tell` hears of.
   * @throws UsageError "usage/resume" when there is none, or it was made with other settings; FormatError when all are
   * damaged.
   */
  async resume(into: Resumed, tell: (note: string) => void): Promise<RunState> {
    await this.checkResumable();
    const damaged: { readonly step: number; readonly error: FormatError }[] = [];
    for (const step of (await this.#checkpoints()).toReversed()) {
      try {
        const state = await readCheckpoint(this.checkpoint(step), step, into);
        for (const bad of damaged) tell(await this.#putAside(bad.step, bad.error, step));
        await this.#logs.cut(
          step,
          state.log_history.filter((entry) => !isSample(entry)),
        );
        await this.#samples.cut(step, state.log_history.filter(isSample));
        return state;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        damaged.push({ step, error });
      }
    }
    const found = damaged.map(({ error }) => error.message.replace(/^Cannot resume /, ""));
    throw new FormatError(
      "format/file",
      `Cannot resume "${this.path}": none of its checkpoints is whole\n  ${found.join("\n  ")}`,
      {
        hint: "Start a new run in another folder, or put a whole copy of a checkpoint here.",
        cause: damaged[0]?.error,
      },
    );
  }

  /** Gives a damaged checkpoint a name under which it is none; says so. */
  async #putAside(step: number, { message }: FormatError, taken: number): Promise<string> {
    const aside = `${this.checkpoint(step)}${DAMAGED}`;
    try {
      await disk().rm(aside, { recursive: true, force: true });
      await disk().rename(this.checkpoint(step), aside);
    } catch (error) {
      throw toFailedWrite(error, aside);
    }
    return `Checkpoint ${step} is damaged, the run goes on from ${taken}; it is kept as "${aside}" (${message})`;
  }

  /** Reads the numbers of a checkpoint back into an adapter. */
  async restore(adapter: Adapter, step: number): Promise<void> {
    await restoreAdapter(this.checkpoint(step), adapter);
  }

  /** Writes an event to the logs, or to the samples. @throws FailedError "failed/write" */
  log(entry: LogEntry): Promise<void> {
    return (isSample(entry) ? this.#samples : this.#logs).write(entry);
  }

  /** Writes a file of text, whole or not at all. @throws FailedError "failed/write" */
  write(name: string, text: string): Promise<void> {
    return writeTextAtomic(join(this.path, name), text);
  }

  /** Writes the result: what was trained, the state, the settings as they took effect, and the loss curve. */
  async finish(
    adapter: Adapter,
    origin: AdapterOrigin,
    state: RunState,
    extra: Readonly<Record<string, string>>,
  ): Promise<void> {
    await writeFolderAtomic(this.path, [
      ...adapterFiles(adapter, origin),
      textFile(STATE_FILE, JSON.stringify(state, null, 2)),
      ...Object.entries(extra).map(([name, text]) => textFile(name, text)),
    ]);
  }
}

function isSample(entry: LogEntry): boolean {
  return entry["event"] === "sample";
}
