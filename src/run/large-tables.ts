/** @file Tables outside the blocks that are too large to be held whole in float32. */
import { numElements } from "../graph/shape.ts";
import type { WeightSource } from "../models/base/base-model.ts";
import type { Model } from "../models/model.ts";
import type { Compute } from "../nn/compute.ts";
import { STORAGES } from "../quant/storages.ts";
import type { Residency } from "./weights/weights.ts";

/** Largest table of floats that is held in float32: that of a vocabulary of 49,152 tokens is, that of one of 262,144 is not. */
export const MAX_TABLE_BYTES = 256e6;

/** Rows of such a table that are read at a time when all are needed: 17 MB of logits for 1024 positions. */
export const SLICE_ROWS = 4096;

/** What decides how tables are held. */
interface TableHolding {
  readonly model: Model;
  readonly compute: Compute;
  /** How the blocks are held. */
  readonly residency: Residency;
  readonly maxTableBytes: number;
  readonly source: Pick<WeightSource, "storageOf">;
}

/** Whether a tensor outside the blocks is never held whole in float32: a large one of floats, or a quantized one. */
export function isLargeTable(
  { model, compute, residency, maxTableBytes, source }: TableHolding,
  name: string,
): boolean {
  const stored = model.storedName(name);
  // Where weights are held in float32, tables are too, unless the arithmetic multiplies with their codes and needs no float values.
  if (residency !== "stored" && !compute.hasHead && !isBesideEmbedding(model, stored)) return false;
  const { shape = [] } = model.tensors.get(stored) ?? {};
  const sizeBytes = numElements(shape) * Float32Array.BYTES_PER_ELEMENT;
  return sizeBytes > maxTableBytes || STORAGES[source.storageOf(stored)].blockSize > 1;
}

/** Whether a tensor is a table that is only looked up, other than the embedding, which may also be the head's matrix. */
function isBesideEmbedding({ stem, embedding }: Model, name: string): boolean {
  const tables = stem.sites.filter((site) => site.kind === "embedding" && site.name !== embedding?.name);
  return tables.some((site) => `${site.name}.weight` === name);
}
