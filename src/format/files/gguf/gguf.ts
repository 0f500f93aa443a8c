/**
 * @file GGUF files: tensors by byte range, with the names and row order of the file.
 *
 * Shapes are reversed: GGUF writes the columns first, graft the rows.
 */
import { UsageError } from "../../../errors.ts";
import { sameShape } from "../../../graph/shape.ts";
import { rowsAndColumns, storedBytes } from "../../../quant/storage.ts";
import { storageOfGgmlType, STORAGES, type StorageName, GGML_NAMES } from "../../../quant/storages.ts";
import type { Planes } from "../../../quant/planes.ts";
import type { StoredTensor } from "../../../quant/stored-tensor.ts";
import type { ByteSource } from "../byte-source.ts";
import { type GgufHeader, readGgufHeader, SETTINGS_OFFSET } from "./gguf-header.ts";
import { damagedGguf } from "./header-walk.ts";
import { ggufTensors, ggufValues } from "./gguf-values.ts";
import { UNREAD_TYPES } from "./ggml-types.ts";
import { unlikeWritten } from "../folder-file.ts";

/** Where a tensor lies in a GGUF file. `shape` has the rows (outputs) first. */
export interface GgufTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly storage: StorageName;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The settings of a GGUF file, still encoded. */
export interface GgufSettings {
  readonly count: number;
  /** Key, type and value of each, one after another. */
  readonly bytes: Uint8Array;
  /** Tensors begin at multiples of this number of bytes. */
  readonly alignment: number;
}

/** The settings of a GGUF file, decoded. */
export interface GgufMetadata {
  readonly path: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** An open GGUF file. Whoever opened it closes it. */
export interface GgufFile extends GgufMetadata {
  /** Tensors under the file's own names. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /**
   * Reads one tensor with its rows in the order of the file; the caller owns it. Planes are written into those of `memory` that
   * have their name, type and length. @throws FormatError format/file
   */
  read(tensor: GgufTensor, memory?: Planes): Promise<StoredTensor>;
  /**
   * Fills `into` with values from element `start` on, which must begin a block. Neither the tensor nor its codes are ever in
   * memory as a whole. @throws as `read`
   */
  readInto(tensor: GgufTensor, start: number, into: Float32Array): Promise<void>;
  /** Reads the settings unchanged, for another file. @throws UsageError usage/model for files of version 1 */
  readSettings(): Promise<GgufSettings>;
  /** The file's own bytes; closed with the file. */
  readonly source: Pick<ByteSource, "sizeBytes" | "read">;
  close(): Promise<void>;
}

async function readSettings(file: ByteSource, header: GgufHeader): Promise<GgufSettings> {
  const { version, numSettings: count, alignment, settingsEnd } = header;
  if (version < 2) {
    throw new UsageError(
      "usage/model",
      `Cannot take over the settings of "${file.path}": GGUF version 1, expected 2 or 3`,
      { hint: "Convert the model to GGUF again." },
    );
  }
  return { count, bytes: await file.read(SETTINGS_OFFSET, settingsEnd - SETTINGS_OFFSET), alignment };
}

/** Describes the tensors of types that graft does not read; null: there are none. */
function unknownTypes({ infos }: GgufHeader): string | null {
  const unknown = infos.filter(({ ggmlType }) => storageOfGgmlType(ggmlType) === null);
  if (unknown.length === 0) return null;
  const numOf = new Map<string, number>();
  for (const { ggmlType } of unknown) {
    const name = UNREAD_TYPES[ggmlType] ?? `number ${ggmlType}`;
    numOf.set(name, (numOf.get(name) ?? 0) + 1);
  }
  const found = [...numOf].map(([name, num]) => `${num} of type ${name}`);
  return `tensors ${found.join(", ")}, expected ${GGML_NAMES.join(", ")}`;
}

/** Lists the tensors of known types; checks that each lies inside the file and that they do not overlap. */
function listTensors(
  { path, sizeBytes: fileBytes }: ByteSource,
  header: GgufHeader,
): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const info of header.infos) {
    const { name } = info;
    const shape = info.axes.toReversed();
    const storage = storageOfGgmlType(info.ggmlType);
    if (storage === null) continue;
    const kind = STORAGES[storage];
    const { numColumns } = rowsAndColumns(shape);
    if (numColumns % kind.blockSize !== 0) {
      throw damagedGguf(
        path,
        `tensor "${name}" has ${numColumns} columns`,
        `a multiple of ${kind.blockSize} for ${storage}`,
      );
    }
    if (tensors.has(name)) throw damagedGguf(path, `tensor "${name}" occurs twice`, "each name once");
    const sizeBytes = storedBytes(kind, shape);
    const offset = header.dataOffset + info.offset;
    if (offset + sizeBytes > fileBytes) {
      throw damagedGguf(
        path,
        `${fileBytes} bytes`,
        `at least ${offset + sizeBytes} for tensor "${name}" [${shape.join(", ")}]`,
      );
    }
    tensors.set(name, { name, shape, storage, offset, sizeBytes });
  }
  let end = 0;
  for (const { name, offset, sizeBytes } of [...tensors.values()].toSorted((a, b) => a.offset - b.offset)) {
    if (offset < end) throw damagedGguf(path, `tensor "${name}" starts at byte ${offset}`, `${end} or more`);
    end = offset + sizeBytes;
  }
  return tensors;
}

/** Something in a file that graft cannot read, and what to do about it. */
interface GgufProblem {
  readonly found: string;
  readonly hint: string;
}

const TYPES_HINT = "Use a file of the model whose tensors all have these types, such as Q4_K_M, Q8_0 or F16.";

/**
 * Reads the header of a GGUF file and checks it. The result owns the file; on failure it is closed at once. A problem that
 * `check` finds in the settings is reported together with unknown types of tensors.
 * @throws FormatError format/file when it is truncated or damaged
 * @throws UsageError usage/model when it has types of tensors that graft does not know, is one of several parts, or `check` fails
 */
export async function openGguf(
  file: ByteSource,
  check: (metadata: GgufMetadata["metadata"]) => GgufProblem | null = () => null,
): Promise<GgufFile> {
  const { path } = file;
  try {
    const header = await readGgufHeader(file);
    const { metadata } = header;
    if (Number(metadata["split.count"] ?? 1) > 1) {
      throw new UsageError(
        "usage/model",
        `Cannot read GGUF file "${path}": one of ${String(metadata["split.count"])} parts, expected a whole model`,
        { hint: "Join the parts with llama-gguf-split --merge." },
      );
    }
    const types = unknownTypes(header);
    const problems = [check(metadata), types === null ? null : { found: types, hint: TYPES_HINT }].filter(
      (problem) => problem !== null,
    );
    if (problems.length > 0) {
      throw new UsageError(
        "usage/model",
        `Cannot open model "${path}": ${problems.map(({ found }) => found).join("; ")}`,
        { hint: problems.map(({ hint }) => hint).join(" ") },
      );
    }
    return {
      path,
      metadata,
      tensors: listTensors(file, header),
      read: ggufTensors(file),
      readInto: ggufValues(file),
      readSettings: () => readSettings(file, header),
      source: file,
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Checks that a file that was written holds exactly these tensors. @throws as `openGguf`; FormatError format/file if it does not */
export async function checkGguf(
  file: ByteSource,
  expected: readonly Pick<GgufTensor, "name" | "shape" | "storage">[],
): Promise<void> {
  const { tensors } = await openGguf(file);
  const isThere = expected.every(({ name, shape, storage }) => {
    const found = tensors.get(name);
    return found?.storage === storage && sameShape(found.shape, shape);
  });
  if (!isThere || tensors.size !== expected.length) throw unlikeWritten(file.path, "other tensors");
}
