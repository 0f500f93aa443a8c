/**
 * @file Cache on the disk of what programs bind of a model's file (operands). The next run maps it into memory, and neither reads
 * codes nor makes operands again.
 *
 * Its name is a digest of the identity of the model's file and the time of that file's last change. The folder holds a limited
 * number of bytes; what was unused for longest is dropped first. If the disk refuses, texts are written without the cache.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Environment } from "../../environment.ts";
import { UsageError } from "../../errors.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { dropOldest } from "../../format/files/disk/drop-oldest.ts";
import { sameShape } from "../../graph/shape.ts";
import type { OperandSpec } from "../../nn/compute.ts";
import type { OperandStore } from "../../nn/operand-store.ts";
import type { HostTensor, Tensors } from "../../runtime/host-tensor.ts";
import { homeFolderOf } from "../models-folder.ts";
import { CAN_SUM, type SummedTensor, checksumOf, mapTensors, writeTensors } from "./operand-file.ts";

/** Increase this when different operands are made from the same file; a test checks that. */
const LAYOUT = 1;
const ENDING = ".operands";
/** Most bytes of all files together. */
const MAX_BYTES = 4e9;
/** Smaller caches are not kept: their operands are made as fast as they are found. */
const MIN_BYTES = 8e6;

/** Least bytes of a file, and most bytes of all files together. */
export interface OperandLimits {
  readonly minBytes: number;
  readonly maxBytes: number;
}

/**
 * Opens the cache for a model's file; undefined: `GRAFT_OPERANDS` turns it off. @throws UsageError "usage/flag" for another value
 * of that variable
 */
export async function openOperandCache(
  path: string,
  env: Environment,
  limits: OperandLimits = { minBytes: MIN_BYTES, maxBytes: MAX_BYTES },
): Promise<OperandStore | undefined> {
  const setting = env["GRAFT_OPERANDS"] || "on";
  if (setting === "off") return undefined;
  if (setting !== "on") {
    throw new UsageError("usage/flag", `Cannot use GRAFT_OPERANDS "${setting}": expected on or off`, {
      hint: "Unset it, or set it to off so that nothing is cached.",
    });
  }
  const found = await disk()
    .stat(path, { bigint: true })
    .catch(() => null);
  // A missing file is reported when it is opened. On Windows files are not mapped.
  if (!found || !CAN_SUM || process.platform === "win32") return undefined;
  // The device number is left out, since it may change when a machine restarts.
  const { ino, size, mtimeNs, ctimeNs } = found;
  const key = [LAYOUT, ino, size, mtimeNs, ctimeNs].join(" ");
  const name = createHash("sha256").update(key).digest("hex");
  return new OperandCache(join(homeFolderOf(env), "operands"), name + ENDING, limits);
}

function nameOf(tensor: string, keptAs: string, suffix: string): string {
  return `${tensor}${suffix} ${keptAs}`;
}

function isWhole(name: string, { tensor, checksum }: SummedTensor): boolean {
  return checksumOf(name, tensor) === checksum;
}

class OperandCache implements OperandStore {
  readonly #folder: string;
  readonly #path: string;
  readonly #limits: OperandLimits;
  readonly #made = new Map<string, SummedTensor>();
  /** Read at first use. */
  #kept: Promise<ReadonlyMap<string, SummedTensor>> | null = null;

  constructor(folder: string, name: string, limits: OperandLimits) {
    this.#folder = folder;
    this.#path = join(folder, name);
    this.#limits = limits;
  }

  async find(tensor: string, keptAs: string, specs: readonly OperandSpec[]): Promise<Tensors | null> {
    const kept = await (this.#kept ??= mapTensors(this.#path));
    const found: Record<string, HostTensor> = {};
    for (const { suffix, dtype, shape } of specs) {
      const name = nameOf(tensor, keptAs, suffix);
      const one = kept.get(name);
      const fits = one?.tensor.dtype === dtype && sameShape(one.tensor.shape, shape);
      if (!fits || !isWhole(name, one)) return null;
      found[suffix] = one.tensor;
    }
    return found;
  }

  add(tensor: string, keptAs: string, made: Tensors): void {
    for (const [suffix, operand] of Object.entries(made)) {
      const name = nameOf(tensor, keptAs, suffix);
      this.#made.set(name, { tensor: operand, checksum: checksumOf(name, operand) });
    }
  }

  async save(): Promise<void> {
    const { minBytes, maxBytes } = this.#limits;
    try {
      // Records the time of the last use.
      if (this.#made.size === 0) return await disk().utimes(this.#path, new Date(), new Date());
      const kept = [...((await this.#kept) ?? [])].filter(([name, one]) => isWhole(name, one));
      const all = new Map([...kept, ...this.#made]);
      this.#made.clear();
      const sizeBytes = [...all.values()].reduce((sum, { tensor }) => sum + tensor.data.byteLength, 0);
      if (sizeBytes < minBytes || sizeBytes > maxBytes) return;
      await writeTensors(this.#path, all);
      await dropOldest(this.#folder, ENDING, maxBytes);
    } catch {
      // The next run makes the operands again.
    }
  }
}
