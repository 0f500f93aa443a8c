/**
 * @file Jobs and files in a folder: files/ID/{file.json, data}, jobs/ID/{job.json, events.jsonl, run/}.
 *
 * What is one JSON object is replaced as a whole; events are added line by line, and a line that the end of the process has
 * cut is left out.
 */
import { appendFile, mkdir, readFile, readdir, rm } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import type { z } from "zod";
import { writeFileAtomic, writeTextAtomic } from "../format/files/atomic.ts";
import { bytesFile } from "../format/files/folder-file.ts";
import { formatJson } from "../format/files/json-file.ts";
import { toFailedWrite } from "../messages/system-error.ts";
import {
  JOB,
  JOB_EVENT,
  type Job,
  type JobCheckpoint,
  type JobEvent,
  UPLOADED_FILE,
  type UploadedFile,
} from "./job.ts";
import type { JobStore } from "./job-store.ts";

/** Ids are ours, and names of folders. */
const ID = /^(file|ftjob)-[0-9a-zA-Z]{1,64}$/;
/** Ends of names by which data are read; any other is a list of JSON lines. */
const DATA_ENDS = new Set([".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md"]);
const CHECKPOINT = /^checkpoint-(\d+)$/;

async function readOr<T>(path: string, read: (text: string) => T, none: T): Promise<T> {
  try {
    return read(await readFile(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return none;
    throw error;
  }
}

async function listNames(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

export class StateFolder implements JobStore {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  #at(kind: "files" | "jobs", id: string, ...rest: readonly string[]): string {
    if (!ID.test(id)) throw new RangeError(`Cannot use "${id}" as an id`);
    return join(this.#path, kind, id, ...rest);
  }

  async #list<T extends { readonly created_at: number; readonly id: string }>(
    kind: "files" | "jobs",
    name: string,
    schema: z.ZodType<T>,
  ): Promise<T[]> {
    const ids = (await listNames(join(this.#path, kind))).filter((id) => ID.test(id));
    const read = ids.map((id) => this.#read(this.#at(kind, id, name), schema));
    const found = (await Promise.all(read)).filter((each) => each !== null);
    return found.sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1));
  }

  #read<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
    return readOr<T | null>(path, (text) => schema.parse(JSON.parse(text)), null);
  }

  listJobs(): Promise<Job[]> {
    return this.#list("jobs", "job.json", JOB);
  }

  async readJob(id: string): Promise<Job | null> {
    return ID.test(id) ? await this.#read(this.#at("jobs", id, "job.json"), JOB) : null;
  }

  async writeJob(job: Job): Promise<void> {
    await mkdir(this.#at("jobs", job.id), { recursive: true });
    await writeTextAtomic(this.#at("jobs", job.id, "job.json"), formatJson(job));
  }

  async addEvent(job: string, event: JobEvent): Promise<void> {
    const path = this.#at("jobs", job, "events.jsonl");
    try {
      await appendFile(path, `${JSON.stringify(event)}\n`);
    } catch (error) {
      throw toFailedWrite(error, path);
    }
  }

  async listEvents(job: string): Promise<JobEvent[]> {
    return await readOr(
      this.#at("jobs", job, "events.jsonl"),
      (text) => text.split("\n").flatMap((line) => readEvent(line) ?? []),
      [],
    );
  }

  runFolder(job: string): string {
    return this.#at("jobs", job, "run");
  }

  async listCheckpoints(job: string): Promise<JobCheckpoint[]> {
    const folder = this.runFolder(job);
    const steps = (await listNames(folder)).flatMap((name) => CHECKPOINT.exec(name)?.[1] ?? []);
    return steps
      .map((step) => ({ step: Number(step), path: join(folder, `checkpoint-${step}`) }))
      .sort((a, b) => a.step - b.step);
  }

  listFiles(): Promise<UploadedFile[]> {
    return this.#list("files", "file.json", UPLOADED_FILE);
  }

  async readFile(id: string): Promise<UploadedFile | null> {
    return ID.test(id) ? await this.#read(this.#at("files", id, "file.json"), UPLOADED_FILE) : null;
  }

  pathOf({ id, filename }: UploadedFile): string {
    const end = extname(filename).toLowerCase();
    return this.#at("files", id, `data${DATA_ENDS.has(end) ? end : ".jsonl"}`);
  }

  async addFile(file: UploadedFile, content: Uint8Array): Promise<void> {
    await mkdir(this.#at("files", file.id), { recursive: true });
    const path = this.pathOf(file);
    await writeFileAtomic(path, bytesFile(basename(path), content));
    // The description last: a file that has one is whole.
    await writeTextAtomic(this.#at("files", file.id, "file.json"), formatJson(file));
  }

  async removeFile(id: string): Promise<void> {
    await rm(this.#at("files", id), { recursive: true, force: true });
  }
}

function readEvent(line: string): JobEvent | null {
  try {
    return JOB_EVENT.parse(JSON.parse(line));
  } catch {
    return null;
  }
}
