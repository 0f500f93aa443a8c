/** @file Element types of weights in model folders, and their storages. */
import type { DType } from "../../graph/dtype.ts";
import type { StorageName } from "../../quant/storages.ts";

/** Storage of each element type that weights can have. */
export const STORAGE_OF: Partial<Record<DType, StorageName>> = {
  float32: "f32",
  float16: "f16",
  bfloat16: "bf16",
};

/** The element type of a storage in a model folder; null for storages that such folders do not have. */
export function folderDtype(storage: StorageName): DType | null {
  const found = Object.entries(STORAGE_OF).find(([, kind]) => kind === storage);
  return (found?.[0] as DType | undefined) ?? null;
}
