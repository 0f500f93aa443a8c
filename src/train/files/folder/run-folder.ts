/**
 * @file The output folder of a run: what may be written there, the logs, the checkpoints, the result.
 */
import { join, resolve } from "node:path";
import { UsageError } from "../../../errors.ts";
import { writeFolderAtomic, writeTextAtomic } from "../../../format/files/atomic.ts";
import { disk, tryRemove } from "../../../format/files/disk/calls.ts";
import { liesIn } from "../../../format/files/disk/lies-in.ts";
import { namesIn } from "../../../format/files/disk/names-in.ts";
import { refuseTilde } from "../../../format/files/disk/new-folder.ts";
import { sweepTemporaries } from "../../../format/files/disk/temporaries.ts";
import { textFile } from "../../../format/files/folder-file.ts";
import { isCheckpointFolder } from "../../../format/run-checkpoints.ts";
import { toFailedWrite } from "../../../messages/system-error.ts";
import type { RunState } from "../../loop/run-state.ts";
import type { LogEntry, LogFormat } from "../../logs/log-format.ts";
import { LOG_FORMATS } from "../../logs/log-formats.ts";
import { Checkpoints, type Trained, isOfCheckpoints, trainedFiles } from "./checkpoints.ts";
import { entriesOf, removeEntry } from "./folder-entries.ts";
import type { ResumedRun } from "./read-checkpoint.ts";
import { AVERAGED_FILE, OF_A_RUN, OF_A_RUN_ALONE, SAMPLES, isOfAveraged } from "./run-files.ts";
import { RunLogs } from "./run-logs.ts";

/** Names of temporary folders in earlier versions. */
const OLD_TEMPORARY = /^\.(checkpoint-\d+|staging)\.[0-9a-f]{8}\.tmp$/;

/** Which logs a run has in its folder, and whether it has samples. */
interface FolderForms {
  readonly logs: readonly LogFormat[];
  readonly hasSamples: boolean;
}

export class RunFolder {
  /** The absolute path: the program may change its working directory during the run. */
  readonly path: string;
  readonly checkpoints: Checkpoints;
  readonly #logs: RunLogs;
  readonly #samples: RunLogs;

  /** @throws UsageError "usage/output" for a path that begins with "~" */
  constructor(path: string, { logs, hasSamples }: FolderForms) {
    refuseTilde(path);
    this.path = resolve(path);
    this.checkpoints = new Checkpoints(this.path);
    this.#logs = new RunLogs(this.path, logs, LOG_FORMATS);
    this.#samples = new RunLogs(this.path, hasSamples ? [SAMPLES] : [], [SAMPLES]);
  }

  /**
   * Checks that a new run may write here, before work begins. `canGoOn` false: it can neither replace another run nor resume it.
   * @throws UsageError "usage/output" when the folder contains something that may not be replaced.
   */
  async check({
    overwrite,
    canGoOn = true,
  }: {
    readonly overwrite: boolean;
    readonly canGoOn?: boolean;
  }): Promise<void> {
    const found = await entriesOf(this.path);
    if (found.length === 0) return;
    const isRun = found.some((name) => OF_A_RUN_ALONE.has(name) || isCheckpointFolder(name));
    if (isRun && overwrite) return;
    throw new UsageError(
      "usage/output",
      `Cannot write to output "${this.path}": it contains ${isRun ? "another run" : "files"}, expected an empty or new folder`,
      {
        hint:
          !isRun || !canGoOn
            ? "Choose another folder."
            : found.includes(AVERAGED_FILE)
              ? "Choose another folder, continue it with trainAveraged, or replace it with --overwrite."
              : found.some(isCheckpointFolder)
                ? "Choose another folder, continue with --resume, or replace it with --overwrite."
                : "Choose another folder, or replace it with --overwrite: it has no checkpoint to resume from.",
      },
    );
  }

  /** Refuses an input that lies in the output folder. @throws UsageError "usage/output" */
  refuseInput(what: string, path: string): void {
    if (!liesIn(path, this.path)) return;
    throw new UsageError(
      "usage/output",
      `Cannot write to output "${this.path}": ${what} "${path}" is in it, expected another folder`,
      { hint: "Choose another output folder." },
    );
  }

  /** Begins a new run: removes what an earlier run wrote, and nothing else, then writes the first files. @throws FailedError "failed/write" */
  async begin(files: Readonly<Record<string, string>>): Promise<void> {
    try {
      const found = await entriesOf(this.path);
      const isAveraged = found.includes(AVERAGED_FILE);
      for (const name of found) {
        if (isOfCheckpoints(name) || OF_A_RUN.has(name) || (isAveraged && isOfAveraged(name)))
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
      // Removes the empty logs, which would be taken for a run.
      for (const name of OF_A_RUN) await tryRemove(join(this.path, name));
      throw toFailedWrite(error, this.path);
    }
  }

  /** Removes what killed runs left half-written; the caller holds the lock. */
  async sweep(): Promise<void> {
    await sweepTemporaries(this.path);
    for (const name of await namesIn(this.path))
      if (OLD_TEMPORARY.test(name)) await removeEntry(join(this.path, name));
  }

  /** Resumes from a checkpoint; as `Checkpoints.resume`. */
  resume(into: ResumedRun, tell: (note: string) => void): Promise<RunState> {
    return this.checkpoints.resume(into, (state) => this.#cutLogs(state), tell);
  }

  async #cutLogs({ global_step: step, log_history: log }: RunState): Promise<void> {
    await this.#logs.cut(
      step,
      log.filter((entry) => !isSample(entry)),
    );
    await this.#samples.cut(step, log.filter(isSample));
  }

  /** Writes an event to the logs, or to the samples. @throws FailedError "failed/write" */
  log(entry: LogEntry): Promise<void> {
    return (isSample(entry) ? this.#samples : this.#logs).write(entry);
  }

  /** Writes a text file atomically. @throws FailedError "failed/write" */
  write(name: string, text: string): Promise<void> {
    return writeTextAtomic(join(this.path, name), text);
  }

  /** Writes the result: the adapter or model, the state of the run, and other text files. @throws FailedError "failed/write" */
  async finish(trained: Trained, extra: Readonly<Record<string, string>>): Promise<void> {
    const texts = Object.entries(extra).map(([name, text]) => textFile(name, text));
    await writeFolderAtomic(this.path, [...trainedFiles(trained), ...texts]);
  }
}

function isSample(entry: LogEntry): boolean {
  return entry["event"] === "sample";
}
