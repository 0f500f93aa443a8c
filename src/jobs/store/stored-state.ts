/** @file Keeps the files and the runs of jobs in an S3-compatible store, with copies in a folder of this process. */
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { hashBytes } from "../../data/files/data-content.ts";
import { writeFileAtomic } from "../../format/files/atomic.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { bytesFile } from "../../format/files/folder-file.ts";
import { UPLOADED_FILE, type UploadedFile } from "../job.ts";
import { FIRST_RUN, StateFolder } from "../state-folder.ts";
import type { S3Store } from "./s3.ts";
import { damaged, parseStored, storedBytes, storedText } from "./stored-content.ts";
import { StoredRuns } from "./stored-runs.ts";

const FILES = "files/";
const DESCRIPTION = "file.json";
const STORED_FILE = UPLOADED_FILE.extend({ sha256: z.string() });

const descriptionKey = (id: string): string => `${FILES}${id}/${DESCRIPTION}`;
const contentKey = (id: string): string => `${FILES}${id}/data`;

export class StoredState extends StateFolder {
  readonly #store: S3Store;
  readonly #runs: StoredRuns;

  /** `path`: a folder that no other process uses. */
  constructor(path: string, store: S3Store) {
    super(path);
    this.#store = store;
    this.#runs = new StoredRuns(store, (job, folder) => this.runFolder(job, folder));
  }

  override async requireFiles(): Promise<void> {
    // Nothing to check: the store has the files, the folder only copies.
  }

  override async requireAnswer(signal?: AbortSignal): Promise<void> {
    await this.#store.list(`${FILES}none`, signal);
  }

  protected override async fileIds(): Promise<string[]> {
    const keys = (await this.#store.list(FILES)).filter((key) => key.endsWith(`/${DESCRIPTION}`));
    return keys.map((key) => key.split("/")[1] ?? "");
  }

  override async readFile(id: string): Promise<UploadedFile | null> {
    const found = this.isId(id) ? await this.#describe(id) : null;
    if (!found) return null;
    const { sha256: _, ...file } = found;
    return file;
  }

  async #describe(id: string): Promise<z.output<typeof STORED_FILE> | null> {
    const key = descriptionKey(id);
    const bytes = await this.#store.get(key);
    return bytes && parseStored(bytes, key, STORED_FILE);
  }

  override async addFile(file: UploadedFile, content: Uint8Array): Promise<void> {
    const stored = storedBytes(content);
    await this.#store.put(contentKey(file.id), stored);
    const description = JSON.stringify({ ...file, sha256: stored.sha256 });
    // The description last: a file that has one is complete.
    await this.#store.put(descriptionKey(file.id), storedText(description));
  }

  override async removeFile(id: string): Promise<void> {
    if (!this.isId(id)) return;
    await this.#store.remove(descriptionKey(id));
    await this.#store.remove(contentKey(id));
    await super.removeFile(id);
  }

  override async contentOf(file: UploadedFile): Promise<string> {
    const path = this.pathOf(file);
    const [described, bytes] = await Promise.all([
      this.#describe(file.id),
      this.#store.get(contentKey(file.id)),
    ]);
    if (!bytes || described?.sha256 !== hashBytes(bytes)) throw damaged(contentKey(file.id));
    await writeFileAtomic(path, bytesFile(basename(path), bytes));
    return path;
  }

  override async importCheckpoint(job: string, from: string): Promise<number> {
    const step = await super.importCheckpoint(job, from);
    await this.publishRun(job, FIRST_RUN);
    return step;
  }

  override async copyRun(job: string, from: string, to: string): Promise<void> {
    await this.fetchRun(job, from);
    await super.copyRun(job, from, to);
    await this.publishRun(job, to);
  }

  override async removeRuns(job: string): Promise<void> {
    await this.#runs.remove(job);
    await super.removeRuns(job);
  }

  override async removeCheckpoint(job: string, folder: string, step: number): Promise<void> {
    await this.#runs.edit(job, folder, () => super.removeCheckpoint(job, folder, step));
  }

  override async fetchShared(path: string): Promise<string> {
    const [jobs, job = "", folder] = path.split(/[/\\]/);
    if (jobs === "jobs" && folder !== undefined && this.isId(job)) await this.fetchRun(job, folder);
    return await super.fetchShared(path);
  }

  override async keepRun(job: string, folder: string): Promise<string | null> {
    const run = this.runFolder(job, folder);
    if (!(await this.has(run))) return null;
    // Outside of the copies, which are removed with this process; the new folder is also readable only by its owner.
    const kept = join(await disk().mkdtemp(join(dirname(this.path), `${job}-`)), folder);
    await disk().rename(run, kept);
    return kept;
  }

  override fetchRun(job: string, folder: string): Promise<boolean> {
    return this.#runs.fetch(job, folder);
  }

  override publishRun(job: string, folder: string, mayWrite?: () => boolean): Promise<void> {
    return this.#runs.publish(job, folder, mayWrite);
  }
}
