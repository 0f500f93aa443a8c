/**
 * @file Files and runs of jobs in a folder, which servers and workers may share: files/ID/{file.json, data}, jobs/ID/run/.
 *
 * A file with a JSON object is always replaced as a whole. The queue decides who may write to a run.
 */
import { basename, isAbsolute, join, relative, resolve, sep } from "node:path";
import { z } from "zod";
import { compressionOf, findFileKind } from "../data/formats/file-kinds.ts";
import { UsageError } from "../errors.ts";
import { writeFolderAtomic } from "../format/files/atomic.ts";
import { disk } from "../format/files/disk/calls.ts";
import { bytesFile, textFile } from "../format/files/folder-file.ts";
import { formatJson } from "../format/files/json-file.ts";
import { checkpointFolder, checkpointSteps } from "../format/run-checkpoints.ts";
import { describeFileProblem, systemCode } from "../messages/system-error.ts";
import { STATE_FILE } from "../train/files/folder/read-checkpoint.ts";
import { RUN_STATE } from "../train/loop/run-state.ts";
import { copyCheckpoint, copyRun } from "./copy-run.ts";
import { type JobCheckpoint, UPLOADED_FILE, type UploadedFile } from "./job.ts";
import { LOGGED_EVENT, type LoggedEvent } from "./logged-event.ts";

/** Ids are made by graft, and used as names of folders. */
const ID = /^(file|ftjob)-[0-9a-zA-Z-]{1,64}$/;
/** Most descriptions of files that are read at a time: with a store, each is a request. */
const MAX_READ = 32;
/** Folder in which a job begins. */
export const FIRST_RUN = "run";

/** The ending that decides how an uploaded file is read; lines of JSON if its name has none. */
export function dataEnding(filename: string): string {
  return `${findFileKind(filename)?.endings[0] ?? ".jsonl"}${compressionOf(filename) ?? ""}`;
}

async function listNames(path: string): Promise<string[]> {
  try {
    return await disk().readdir(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}

export class StateFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  #at(kind: "files" | "jobs", id: string, ...rest: readonly string[]): string {
    if (!ID.test(id)) throw new RangeError(`Cannot use "${id}" as an id`);
    return join(this.path, kind, id, ...rest);
  }

  /** Removes this folder from the paths in a text. */
  withoutPath(text: string): string {
    return text.replaceAll(`${this.path}${sep}`, "");
  }

  /** A path in a form for machines that have the folder at another place. */
  toShared(path: string): string {
    const inside = relative(this.path, resolve(path));
    return inside.startsWith("..") || isAbsolute(inside) ? resolve(path) : inside;
  }

  /** Resolves a path that another machine made by `toShared`. */
  async fetchShared(path: string): Promise<string> {
    return resolve(this.path, path);
  }

  isId(id: string): boolean {
    return ID.test(id);
  }

  /** Checks that the store answers, if files are shared by one. @throws FailedError "failed/store" */
  async requireAnswer(_signal?: AbortSignal): Promise<void> {
    // Nothing to check for a folder.
  }

  /** Brings a run here as its last owner left it, if owners do not share a folder; false: there is nothing of it. */
  async fetchRun(job: string, folder: string): Promise<boolean> {
    return await this.has(this.runFolder(job, folder));
  }

  /** Makes a run available to owners with another folder, unless it may no longer be written. */
  async publishRun(_job: string, _folder: string, _mayWrite?: () => boolean): Promise<void> {
    // Nothing to do: others use the same folder.
  }

  /** Moves a run that was not published to a folder that is kept, and returns that; null: others find it where it is. */
  async keepRun(_job: string, _folder: string): Promise<string | null> {
    return null;
  }

  runFolder(job: string, folder: string): string {
    return this.#at("jobs", job, folder);
  }

  /** Whether there is anything in a folder of a run or checkpoint. */
  async has(path: string): Promise<boolean> {
    return (await listNames(path)).length > 0;
  }

  /**
   * Checks that the folder exists, since every job would fail without it. @throws UsageError "usage/flag" when no file was ever
   * uploaded
   */
  async requireFiles(): Promise<void> {
    const found = await disk()
      .readdir(join(this.path, "files"))
      .then(
        () => null,
        (error: unknown) =>
          systemCode(error) === "ENOENT"
            ? `there are no job files in "${this.path}"`
            : `"${this.path}" cannot be read, ${describeFileProblem(error)}`,
      );
    if (found === null) return;
    throw new UsageError(
      "usage/flag",
      `Cannot start on jobs: ${found}, expected the servers' --state folder, with the uploaded files`,
      { hint: "Check that it is mounted; workers wait for the first upload." },
    );
  }

  /** Removes all that a job has trained, in whichever folders. */
  async removeRuns(job: string): Promise<void> {
    await disk().rm(this.#at("jobs", job), { recursive: true, force: true });
  }

  async removeCheckpoint(job: string, folder: string, step: number): Promise<void> {
    await disk().rm(join(this.runFolder(job, folder), checkpointFolder(step)), {
      recursive: true,
      force: true,
    });
  }

  /** Lists the checkpoints that a run has written, in order. */
  async listCheckpoints(job: string, run: string): Promise<JobCheckpoint[]> {
    const folder = this.runFolder(job, run);
    const steps = checkpointSteps(await listNames(folder));
    return steps.map((step) => ({ step, path: join(folder, checkpointFolder(step)) }));
  }

  /** The events of a run up to its last checkpoint; none if that cannot be read, which the resumed run reports. */
  async readHistory(job: string, run: string): Promise<readonly LoggedEvent[]> {
    const last = (await this.listCheckpoints(job, run)).at(-1);
    if (!last) return [];
    try {
      const { log_history: history } = RUN_STATE.parse(
        JSON.parse(await disk().readFile(join(last.path, STATE_FILE), "utf8")),
      );
      return z.array(LOGGED_EVENT).parse(history);
    } catch {
      return [];
    }
  }

  /**
   * Copies a checkpoint from elsewhere into the run of a job that has not begun, whole or not at all; returns its step.
   * @throws UsageError "usage/resume" for a folder that is no checkpoint; as `copyCheckpoint`
   */
  async importCheckpoint(job: string, from: string): Promise<number> {
    const name = basename(from);
    const [step] = checkpointSteps([name]);
    if (step === undefined) {
      throw new UsageError("usage/resume", `Cannot resume from "${name}", expected a folder checkpoint-N`, {
        hint: "Copy a folder checkpoint-N from the run of a job, and keep its name.",
      });
    }
    await copyCheckpoint(from, join(this.runFolder(job, FIRST_RUN), name));
    return step;
  }

  /**
   * Copies a run that another process may still write to; the copy appears whole or not at all. @throws as `copyRun` of a folder
   */
  async copyRun(job: string, from: string, to: string): Promise<void> {
    const [source, target] = [this.runFolder(job, from), this.runFolder(job, to)];
    if ((await listNames(source)).length === 0) return;
    await copyRun(source, target);
  }

  /** Lists files, the oldest first; those of the same second are ordered by their ids. */
  async listFiles(): Promise<UploadedFile[]> {
    const ids = await this.fileIds();
    const found: UploadedFile[] = [];
    for (let from = 0; from < ids.length; from += MAX_READ) {
      const some = await Promise.all(ids.slice(from, from + MAX_READ).map((id) => this.readFile(id)));
      found.push(...some.filter((each) => each !== null));
    }
    return found.sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1));
  }

  protected async fileIds(): Promise<string[]> {
    return (await listNames(join(this.path, "files"))).filter((id) => ID.test(id));
  }

  async readFile(id: string): Promise<UploadedFile | null> {
    if (!ID.test(id)) return null;
    try {
      return UPLOADED_FILE.parse(
        JSON.parse(await disk().readFile(this.#at("files", id, "file.json"), "utf8")),
      );
    } catch (error) {
      if (systemCode(error) === "ENOENT") return null;
      throw error;
    }
  }

  protected pathOf({ id, filename }: UploadedFile): string {
    return this.#at("files", id, `data${dataEnding(filename)}`);
  }

  async readContent(file: UploadedFile): Promise<Uint8Array<ArrayBuffer>> {
    return Uint8Array.from(await disk().readFile(await this.contentOf(file)));
  }

  /** Path of a file's content on this machine. */
  async contentOf(file: UploadedFile): Promise<string> {
    return this.pathOf(file);
  }

  /** Stores an uploaded file, whole or not at all. @throws FailedError "failed/write" */
  async addFile(file: UploadedFile, content: Uint8Array): Promise<void> {
    await writeFolderAtomic(this.#at("files", file.id), [
      bytesFile(basename(this.pathOf(file)), content),
      textFile("file.json", formatJson(file)),
    ]);
  }

  async removeFile(id: string): Promise<void> {
    await disk().rm(this.#at("files", id), { recursive: true, force: true });
  }
}
