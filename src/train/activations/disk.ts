/**
 * @file Activations that wait in files: bit for bit the same; the disk works while programs run.
 *
 * The activations kept last stay in memory, since they are needed first. Those of a block are written while the next block runs
 * forward, and read again while the next block runs backward; so those of three blocks at most are in memory.
 */
import { bytesOf } from "../../graph/dtype.ts";
import type { Saved } from "../../run/blocks/block-runner.ts";
import type { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import type { ShardDisk } from "../../runtime/memory/shard.ts";
import type { ActivationForm, KeptActivations } from "./keeping.ts";

interface Entry {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Number of the file of its first tensor; those of the others follow. */
  readonly firstFile: number;
  /** Null while they are only on the disk. */
  tensors: Saved | null;
  /** The write or read in progress. */
  moving: Promise<void>;
}

export const disk: ActivationForm = {
  name: "disk",
  summary: "in files in the output folder",
  bytesPerNumber: 0,
  // The last one stays in memory while the one before it is written.
  numWhole: 2,
  usesDisk: true,
  isExact: true,
  begin: ({ pool }, folder) => {
    if (!folder) throw new TypeError("Cannot keep activations on disk: no folder for them was given");
    return new OnDisk(pool, folder);
  },
};

class OnDisk implements KeptActivations {
  readonly #pool: BufferPool;
  readonly #disk: ShardDisk;
  readonly #entries: Entry[] = [];

  constructor(pool: BufferPool, folder: ShardDisk) {
    this.#pool = pool;
    this.#disk = folder;
  }

  async keep(tensors: Saved): Promise<void> {
    const last = this.#entries.at(-1);
    // One write at a time: if the disk is slower than the programs, they wait for it instead of filling memory.
    await this.#entries.at(-2)?.moving;
    if (last) last.moving = handled(this.#write(last));
    this.#entries.push({
      shapes: Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape])),
      firstFile: last ? last.firstFile + Object.keys(last.shapes).length : 0,
      tensors,
      moving: Promise.resolve(),
    });
  }

  async bringBack(): Promise<Saved> {
    const entry = this.#entries.pop();
    if (!entry) throw new RangeError("Cannot bring activations back: none are kept");
    await entry.moving;
    const tensors = await this.#read(entry);
    const next = this.#entries.at(-1);
    if (next) next.moving = handled(this.#readNext(next));
    return tensors;
  }

  async end(): Promise<void> {
    for (const entry of this.#entries.splice(0)) {
      // A failure has been reported already, or no longer matters.
      await entry.moving.catch(() => {});
      this.#pool.release(...Object.values(entry.tensors ?? {}));
    }
  }

  async #write(entry: Entry): Promise<void> {
    const tensors = Object.values(entry.tensors ?? {});
    for (const [i, tensor] of tensors.entries())
      await this.#disk.write(entry.firstFile + i, bytesOf(tensor.data));
    this.#pool.release(...tensors);
    entry.tensors = null;
  }

  async #readNext(entry: Entry): Promise<void> {
    await entry.moving;
    await this.#read(entry);
  }

  async #read(entry: Entry): Promise<Saved> {
    if (entry.tensors) return entry.tensors;
    const tensors: Saved = {};
    entry.tensors = tensors;
    for (const [i, [name, shape]] of Object.entries(entry.shapes).entries()) {
      const tensor = this.#pool.acquire("float32", shape);
      tensors[name] = tensor;
      await this.#disk.read(entry.firstFile + i, bytesOf(tensor.data));
    }
    return tensors;
  }
}

/** Marks a promise as handled: its failure goes to whoever awaits it later. */
function handled(work: Promise<void>): Promise<void> {
  work.catch(() => {});
  return work;
}
