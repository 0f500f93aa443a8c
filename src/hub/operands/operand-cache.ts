/**
 * @file What programs bind of a model's file (operands), kept on the disk. The next run maps it into memory, and neither reads
 * codes nor makes operands of them.
 *
 * Its name is a digest of the file that it was made of, with the time of that file's last change. The folder holds a limited
 * number of bytes; what was not used for the longest goes first. When the disk refuses, texts are written without it.
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

/** To be raised when other operands are made of the same file; a test holds them. */
const LAYOUT = 1;
const ENDING = ".operands";
/** Bytes of all files together. */
const MAX_BYTES = 4e9;
/** Less is made as soon as it is found. */
const MIN_BYTES = 8e6;

/** Bytes that a file has at least, and all have at most. */
export interface OperandLimits {
  readonly minBytes: number;
  readonly maxBytes: number;
}

/** Opens what is kept of a model's file; absent: `GRAFT_OPERANDS` says that nothing is. @throws UsageError "usage/flag" for another value of it */
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
  // Who opens the file is told why it is not there. On Windows files are not mapped.
  if (!found || !CAN_SUM || process.platform === "win32") return undefined;
  // Numbers of disks may be others after each start of a machine.
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
  /** Read when first asked for. */
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
      // When it was used last.
      if (this.#made.size === 0) return await disk().utimes(this.#path, new Date(), new Date());
      const kept = [...((await this.#kept) ?? [])].filter(([name, one]) => isWhole(name, one));
      const all = new Map([...kept, ...this.#made]);
      this.#made.clear();
      const sizeBytes = [...all.values()].reduce((sum, { tensor }) => sum + tensor.data.byteLength, 0);
      if (sizeBytes < minBytes || sizeBytes > maxBytes) return;
      await writeTensors(this.#path, all);
      await dropOldest(this.#folder, ENDING, maxBytes);
    } catch {
      // The next run makes them anew.
    }
  }
}
