/** @file All storage kinds. To add one: its file and one line here. */
import { codesWithMinimum } from "./storages/codes-with-minimum.ts";
import { f8_e4m3 } from "./storages/f8-e4m3.ts";
import { bf16, f16, f32 } from "./storages/floats.ts";
import { iq4_nl } from "./storages/iq4-nl.ts";
import { iq4_xs } from "./storages/iq4-xs.ts";
import { mxfp4 } from "./storages/mxfp4.ts";
import { nf4 } from "./storages/nf4.ts";
import { packedCodes } from "./storages/packed-codes.ts";
import { q2_k } from "./storages/q2-k.ts";
import { q3_k } from "./storages/q3-k.ts";
import { q4_0 } from "./storages/q4-0.ts";
import { q4_1 } from "./storages/q4-1.ts";
import { q4_k } from "./storages/q4-k.ts";
import { q5_0 } from "./storages/q5-0.ts";
import { q5_1 } from "./storages/q5-1.ts";
import { q5_k } from "./storages/q5-k.ts";
import { q6_k } from "./storages/q6-k.ts";
import { q8_0 } from "./storages/q8-0.ts";
import type { Storage } from "./storage.ts";

export const STORAGES = {
  f32,
  f16,
  bf16,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  mxfp4,
  nf4,
  f8_e4m3,
  u2: packedCodes("u2", 2),
  u3: packedCodes("u3", 3),
  u4: packedCodes("u4", 4),
  u8: packedCodes("u8", 8),
  m2: codesWithMinimum("m2", 2),
  m3: codesWithMinimum("m3", 3),
  m8: codesWithMinimum("m8", 8),
} as const satisfies Record<string, Storage>;

export type StorageName = keyof typeof STORAGES;

export const STORAGE_NAMES = Object.keys(STORAGES) as StorageName[];

const bitsOf = (name: StorageName): number => (8 * STORAGES[name].blockBytes) / STORAGES[name].blockSize;

/** Names of the kinds in ggml files. */
export const GGML_NAMES = STORAGE_NAMES.filter((name) => STORAGES[name].ggmlTypes.length > 0);

/** Names of the kinds to which graft can round. */
const ROUNDED_NAMES = STORAGE_NAMES.filter((name) => STORAGES[name].quantize !== "read-only");

/** Names of the ggml kinds to which graft can round, for tensors that it writes. */
export const WRITABLE_NAMES = ROUNDED_NAMES.filter((name) => GGML_NAMES.includes(name));

/** Names of the kinds to which a base can be rounded when it is loaded. */
export const BASE_KINDS = ROUNDED_NAMES.filter((name) => STORAGES[name].blockSize > 1);

/** The kinds to which a plan may round a base to make a run fit, the most accurate first. */
export const PLANNED_BASE_KINDS = BASE_KINDS.filter((name) => STORAGES[name].isPlanned).toSorted(
  (a, b) => bitsOf(b) - bitsOf(a),
);

/** Finds the storage kind of a ggml type number; null when graft does not know it. */
export function storageOfGgmlType(ggmlType: number): StorageName | null {
  return STORAGE_NAMES.find((name) => STORAGES[name].ggmlTypes.includes(ggmlType)) ?? null;
}

/** Whether a kind may replace another: blocks that are not affine are only for models made for them. */
const isUsual = (name: StorageName): boolean =>
  STORAGES[name].blockSize === 1 || STORAGES[name].affine !== "not-affine";

/** The kind in which changed values of a tensor are written: its own, or else the smallest with at least as many bits. */
export function writableKind(name: StorageName): StorageName {
  if (WRITABLE_NAMES.includes(name)) return name;
  const wider = WRITABLE_NAMES.filter((other) => isUsual(other) && bitsOf(other) >= bitsOf(name));
  return wider.reduce((best, other) => (bitsOf(other) < bitsOf(best) ? other : best));
}
