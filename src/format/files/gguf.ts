/**
 * @file GGUF files: header through @huggingface/gguf, tensors by byte range, names and row order as the file has them.
 *
 * Shapes are turned round: GGUF writes the columns first, graft the rows.
 */
import { GGMLQuantizationType, gguf } from "@huggingface/gguf";
import { UsageError } from "../../errors.ts";
import { sameShape } from "../../graph/shape.ts";
import { rowsAndColumns, storedBytes } from "../../quant/storage.ts";
import { storageOfGgmlType, STORAGES, type StorageName, GGML_NAMES } from "../../quant/storages.ts";
import { type StoredTensor, unpackStored } from "../../quant/stored-tensor.ts";
import type { ByteSource } from "./byte-source.ts";
import { checkGgufLayout, damagedGguf, SETTINGS_OFFSET } from "./gguf-layout.ts";
import { ggufValues, requireFiniteScales } from "./gguf-values.ts";
import { unlikeWritten } from "./folder-file.ts";

/** Where a tensor lies in a GGUF file. `shape` has the rows (outputs) first. */
export interface GgufTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly storage: StorageName;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The settings of a GGUF file as it has them. */
export interface GgufSettings {
  readonly count: number;
  /** Key, type and value of each, one after another. */
  readonly bytes: Uint8Array;
  /** Tensors begin at multiples of so many bytes. */
  readonly alignment: number;
}

/** What a GGUF file says beside its tensors. */
export interface GgufMetadata {
  readonly path: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** An open GGUF file. Whoever opened it closes it. */
export interface GgufFile extends GgufMetadata {
  /** Tensors under the file's own names. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Reads one tensor with its rows as the file has them; the caller owns it. @throws FormatError format/file */
  read(tensor: GgufTensor): Promise<StoredTensor>;
  /**
   * Writes values from element `start` on, which begins a block, into memory of the caller, as many as there is room for;
   * neither tensor nor codes are ever in memory as a whole. @throws as `read`
   */
  readInto(tensor: GgufTensor, start: number, into: Float32Array): Promise<void>;
  /** Reads the settings unchanged, for another file. @throws UsageError usage/model for files of version 1 */
  readSettings(): Promise<GgufSettings>;
  /** The file's own bytes; closed with the file. */
  readonly source: Pick<ByteSource, "sizeBytes" | "read">;
  close(): Promise<void>;
}

type Header = Awaited<ReturnType<typeof gguf>>;

/** The reader asks for parts of a file by HTTP; what is answered comes from the source, whatever the address. */
const ANY_ADDRESS = "http://localhost/";

async function fetchRange(file: ByteSource, request: RequestInit | undefined): Promise<Response> {
  const range = new Headers(request?.headers).get("Range") ?? "";
  const [first = 0, last = 0] = (/^bytes=(\d+)-(\d+)$/.exec(range) ?? []).slice(1).map(Number);
  const end = Math.min(last + 1, file.sizeBytes);
  const bytes = await file.read(Math.min(first, end), Math.max(0, end - first));
  return new Response(bytes, { headers: { "Content-Range": `${range}/${file.sizeBytes}` } });
}

async function readHeader(file: ByteSource): Promise<Header> {
  const magic = new TextDecoder().decode(await file.read(0, Math.min(4, file.sizeBytes)));
  if (magic !== "GGUF") throw damagedGguf(file.path, `it starts with ${JSON.stringify(magic)}`, "GGUF");
  await checkGgufLayout(file);
  let header: Header;
  try {
    header = await gguf(ANY_ADDRESS, { fetch: (_, request) => fetchRange(file, request) });
  } catch (error) {
    throw damagedGguf(file.path, error instanceof Error ? error.message : String(error), "a header", error);
  }
  // The reader sees zeros past the end of a file, so a header that runs over it is only found here.
  const headerBytes = header.tensorInfoByteRange[1];
  if (headerBytes > file.sizeBytes) {
    throw damagedGguf(file.path, `${file.sizeBytes} bytes`, `at least ${headerBytes} for the header`);
  }
  if (!header.littleEndian) {
    throw new UsageError(
      "usage/model",
      `Cannot read GGUF file "${file.path}": big-endian, expected little-endian`,
      { hint: "Get the little-endian file of the model." },
    );
  }
  return header;
}

async function readSettings(file: ByteSource, header: Header): Promise<GgufSettings> {
  const { metadata, tensorInfoByteRange } = header;
  if (metadata.version < 2) {
    throw new UsageError(
      "usage/model",
      `Cannot take over the settings of "${file.path}": GGUF version 1, expected 2 or 3`,
      { hint: "Convert the model to GGUF again." },
    );
  }
  const bytes = await file.read(SETTINGS_OFFSET, tensorInfoByteRange[0] - SETTINGS_OFFSET);
  const { "general.alignment": alignment = 32 } = metadata as unknown as Record<string, unknown>;
  return { count: Number(metadata.kv_count), bytes, alignment: Number(alignment) };
}

/** What ggml calls a type of tensors; a number that the reader does not know stays one. */
function typeName(ggmlType: number): string {
  return (GGMLQuantizationType as Readonly<Record<number, string>>)[ggmlType] ?? `number ${ggmlType}`;
}

/** Says which tensors are of types that graft does not read; null: there are none. */
function unknownTypes(header: Header): string | null {
  const numOf = new Map<string, number>();
  for (const { dtype } of header.tensorInfos) {
    if (storageOfGgmlType(dtype) === null) numOf.set(typeName(dtype), (numOf.get(typeName(dtype)) ?? 0) + 1);
  }
  const found = [...numOf].map(([name, num]) => `${num} of type ${name}`);
  if (found.length === 0) return null;
  return `tensors ${found.join(", ")}, expected ${GGML_NAMES.join(", ")}`;
}

/** Checks that each tensor lies inside the file. */
function listTensors({ path, sizeBytes: fileBytes }: ByteSource, header: Header): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const info of header.tensorInfos) {
    const { name } = info;
    const shape = info.shape.map(Number).toReversed();
    const storage = storageOfGgmlType(info.dtype);
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
    if (tensors.has(name)) throw damagedGguf(path, `tensor "${name}" comes twice`, "each name once");
    const sizeBytes = storedBytes(kind, shape);
    const offset = Number(header.tensorDataOffset + info.offset);
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

/** Something in a file that graft does not read, and what to do about it. */
export interface GgufProblem {
  readonly found: string;
  readonly hint: string;
}

const TYPES_HINT =
  "Take a file of the model whose tensors are all of these types, such as Q4_K_M, Q8_0 or F16.";

/**
 * Reads the header of a GGUF file and checks it; the file is closed with what is returned, or at once when that fails.
 * What `check` finds in its settings is told together with types of tensors that are unknown.
 * @throws FormatError format/file when it is truncated or damaged
 * @throws UsageError usage/model when it has a kind of tensor that graft does not know
 */
export async function openGguf(
  file: ByteSource,
  check: (metadata: GgufMetadata["metadata"]) => GgufProblem | null = () => null,
): Promise<GgufFile> {
  const { path } = file;
  try {
    const header = await readHeader(file);
    const metadata = header.metadata as unknown as Record<string, unknown>;
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
      async read({ name, storage, shape, offset, sizeBytes }) {
        const stored = unpackStored(storage, await file.read(offset, sizeBytes), shape);
        requireFiniteScales(path, name, stored);
        return stored;
      },
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

/** Reads a GGUF file back that was to hold these tensors. @throws as `openGguf`, and FormatError format/file for others */
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
