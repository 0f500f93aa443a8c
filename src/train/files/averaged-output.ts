/**
 * @file What the output of an averaged training says of itself, in averaged.json: how its trainings are brought together. It is
 * written first, so that an output without it is another's; what each training is made with, drawn/ says.
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

  /** The whole path. */
  get path(): string {
    return this.#folder.path;
  }

  /**
   * Whether a training has begun here that is brought together as this one is.
   * @throws UsageError "usage/output" where the folder holds something else, "usage/resume" that names what differs
   */
  async hasBegun(given: Readonly<Record<string, unknown>>): Promise<boolean> {
    const { path } = this.#folder;
    if (!(await entriesOf(path)).includes(AVERAGED_FILE)) {
      await this.#folder.check({ overwrite: false, canGoOn: false });
      return false;
    }
    // What was stopped before anything was drawn has trained nothing.
    if (!(await hasStart(path))) return false;
    requireSameSettings(path, await readJson(join(path, AVERAGED_FILE)), given);
    return true;
  }

  /** Says how trainings are brought together here, and does what comes before them; where that fails, takes out what it has written. */
  async begin<T>(given: Readonly<Record<string, unknown>>, work: () => Promise<T>): Promise<T> {
    const { path } = this.#folder;
    await this.#folder.sweep();
    await this.#folder.write(AVERAGED_FILE, formatJson(given));
    try {
      return await work();
    } catch (error) {
      const names = (await hasStart(path)) ? [] : await entriesOf(path);
      // The file last: without it the others are nobody's.
      const own = names
        .filter(isOfAveraged)
        .toSorted((a, b) => Number(a === AVERAGED_FILE) - Number(b === AVERAGED_FILE));
      for (const name of own) await removeEntry(join(path, name)).catch(() => {});
      throw error;
    }
  }
}
