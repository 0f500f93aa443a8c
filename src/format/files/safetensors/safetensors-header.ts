/**
 * @file Header of a safetensors file: 8 bytes of length, JSON, then the data of all tensors without gaps.
 *
 * Every claim of the header is checked against the size of the file before any tensor is read.
 */
import { z } from "zod";
import { FormatError } from "../../../errors.ts";
import { findProblems, listProblems } from "../../../messages/problems.ts";
import { DTYPES, type DType } from "../../../graph/dtype.ts";
import { numElements, showShape } from "../../../graph/shape.ts";
import type { ByteSource } from "../byte-source.ts";
import { findRepeatedKey, parseJsonObject } from "../json-file.ts";
import { lookup } from "../lookup.ts";

/** Names in files of the element types that graft can hold. */
export const FILE_DTYPES: Readonly<Record<DType, string>> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  int64: "I64",
  int32: "I32",
  uint8: "U8",
  int8: "I8",
  bool: "BOOL",
};
const DTYPE_OF: Readonly<Record<string, DType>> = {
  ...Object.fromEntries(Object.entries(FILE_DTYPES).map(([dtype, name]) => [name, dtype as DType])),
  // Codes: graft uses their bits, so that the type only needs the right size.
  U32: "int32",
  F8_E4M3: "uint8",
};

/** Bytes of the other element types of the format, so that a file with such tensors can still be checked and listed. */
const FOREIGN_BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  U64: 8,
  I16: 2,
  U16: 2,
  F8_E5M2: 1,
  F8_E8M0: 1,
  F6_E2M3: 3 / 4,
  F6_E3M2: 3 / 4,
  F4: 1 / 2,
  C64: 8,
};

/** The format's own limit on the header, against files that would exhaust memory. */
const MAX_HEADER_BYTES = 100_000_000;

const entrySchema = z.object({
  dtype: z.string(),
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});

/** Where a tensor lies in its file; `dtype` is null when graft cannot hold its type. */
export interface TensorRange {
  readonly name: string;
  readonly fileDtype: string;
  readonly dtype: DType | null;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly sizeBytes: number;
}

interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorRange>;
}

const HINT = "The file is truncated or damaged: download or write it again.";

function damaged(path: string, found: string, expected: string, hint = HINT): FormatError {
  return new FormatError(
    "format/file",
    `Cannot read safetensors file "${path}": ${found}, expected ${expected}`,
    { hint },
  );
}

/** What is sometimes downloaded in place of a large file, recognized by its beginning. */
const STAND_INS: readonly (readonly [begins: RegExp, what: string, hint: string])[] = [
  [
    /^version https:\/\/git-lfs/,
    "a Git LFS pointer",
    "Download the file itself with git lfs pull, or from its source.",
  ],
  [/^\s*<(!doctype|html)/i, "a web page", "Download the file itself: the address may need an account."],
];

/** Refuses a file whose first bytes give no valid length. @throws FormatError "format/file" */
async function refuseStart(file: ByteSource, numBytes: bigint): Promise<never> {
  const start = new TextDecoder().decode(await file.read(0, Math.min(64, file.sizeBytes)));
  const [, what, hint] = STAND_INS.find(([begins]) => begins.test(start)) ?? [];
  if (what !== undefined) throw damaged(file.path, what, "the file itself", hint);
  throw damaged(file.path, `a header of ${numBytes} bytes`, `at most ${MAX_HEADER_BYTES}`);
}

function parseEntry(path: string, name: string, value: unknown, dataStart: number): TensorRange {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    const problem = listProblems(findProblems(entrySchema, value)).join("; ");
    throw damaged(path, `tensor "${name}" has a bad entry (${problem})`, "dtype, shape and data_offsets");
  }
  const { dtype: fileDtype, shape, data_offsets: offsets } = parsed.data;
  const dtype = lookup(DTYPE_OF, fileDtype) ?? null;
  const elementBytes = dtype === null ? lookup(FOREIGN_BYTES, fileDtype) : DTYPES[dtype].sizeBytes;
  if (elementBytes === undefined) {
    throw damaged(path, `tensor "${name}" is ${fileDtype}`, `one of ${Object.keys(DTYPE_OF).join(" ")}`);
  }
  const sizeBytes = offsets[1] - offsets[0];
  const expectedBytes = numElements(shape) * elementBytes;
  if (sizeBytes !== expectedBytes) {
    throw damaged(
      path,
      `tensor "${name}" ${fileDtype} ${showShape(shape)} has ${sizeBytes} bytes`,
      `${expectedBytes}`,
    );
  }
  return { name, fileDtype, dtype, shape, offset: dataStart + offsets[0], sizeBytes };
}

/** Reads and checks the header of a file. @throws FormatError format/file, format/json */
export async function readSafetensorsHeader(file: ByteSource): Promise<SafetensorsHeader> {
  const { path, sizeBytes } = file;
  if (sizeBytes < 8) throw damaged(path, `${sizeBytes} bytes`, "at least 8");
  const lengthField = new DataView((await file.read(0, 8)).buffer).getBigUint64(0, true);
  if (lengthField > MAX_HEADER_BYTES) await refuseStart(file, lengthField);
  const dataStart = 8 + Number(lengthField);
  if (dataStart > sizeBytes) throw damaged(path, `${sizeBytes} bytes`, `at least ${dataStart}`);
  const text = decodeText(path, await file.read(8, Number(lengthField)));
  const { __metadata__: metadata, ...entries } = parseJsonObject(text, path);
  const repeated = findRepeatedKey(text);
  if (repeated !== null) throw damaged(path, `key "${repeated}" occurs twice`, "each key once");

  const ranges = Object.entries(entries).map(([name, value]) => parseEntry(path, name, value, dataStart));
  const byOffset = ranges.toSorted((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  let end = dataStart;
  for (const { name, offset, sizeBytes } of byOffset) {
    if (offset !== end) {
      throw damaged(
        path,
        `tensor "${name}" starts at byte ${offset}`,
        `${end}, where the one before it ends`,
      );
    }
    end += sizeBytes;
  }
  if (end !== sizeBytes) throw damaged(path, `${sizeBytes} bytes`, `${end}`);

  if (!isTexts(metadata ?? {}))
    throw damaged(path, "__metadata__ contains something else", "strings by name");
  return {
    metadata: (metadata ?? {}) as Record<string, string>,
    tensors: new Map(ranges.map((range) => [range.name, range])),
  };
}

function decodeText(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw damaged(path, "a header with broken UTF-8", "text");
  }
}

function isTexts(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((text) => typeof text === "string");
}
