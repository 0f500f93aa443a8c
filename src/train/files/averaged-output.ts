/**
 * @file averaged.json in the output of an averaged training: how its trainings are averaged. It is written first, so an output without
 * it belongs to something else. The settings of the trainings themselves are in drawn/.
 */
import { join } from "node:path";
import { readJson } from "../../format/by-path.ts";
import { formatJson } from "../../format/files/json-file.ts";
import { entriesOf, removeEntry } from "./folder/folder-entries.ts";
import { requireSameSettings } from "./folder/read-checkpoint.ts";
import { AVERAGED_FILE, isOfAveraged } from "./folder/run-files.ts";
import { RunFolder } from "./folder/run-folder.ts";
import { hasStart } from "./averaged-rounds.ts";

export class AveragedOutput {
  readonly #folder: RunFolder;

  constructor(path: string) {
    this.#folder = new RunFolder(path, { logs: [], hasSamples: false });
  }

  /** The absolute path. */
  get path(): string {
    return this.#folder.path;
  }

  /**
   * Whether a training that is averaged in the same way has begun here.
   * @throws UsageError "usage/output" if the folder contains something else, "usage/resume" that names what differs
   */
  async hasBegun(given: Readonly<Record<string, unknown>>): Promise<boolean> {
    const { path } = this.#folder;
    if (!(await entriesOf(path)).includes(AVERAGED_FILE)) {
      await this.#folder.check({ overwrite: false, canGoOn: false });
      return false;
    }
    // A training that stopped before its start was drawn has trained nothing.
    if (!(await hasStart(path))) return false;
    requireSameSettings(path, await readJson(join(path, AVERAGED_FILE)), given);
    return true;
  }

  /** Writes how trainings are averaged here, then does the work before the first; if that fails, removes what was written. */
  async begin<T>(given: Readonly<Record<string, unknown>>, work: () => Promise<T>): Promise<T> {
    const { path } = this.#folder;
    await this.#folder.sweep();
    await this.#folder.write(AVERAGED_FILE, formatJson(given));
    try {
      return await work();
    } catch (error) {
      const names = (await hasStart(path)) ? [] : await entriesOf(path);
      // averaged.json is removed last: without it the other files would belong to no training.
      const own = names
        .filter(isOfAveraged)
        .toSorted((a, b) => Number(a === AVERAGED_FILE) - Number(b === AVERAGED_FILE));
      for (const name of own) await removeEntry(join(path, name)).catch(() => {});
      throw error;
    }
  }
}
