/**
 * @file Reads the header of a GGUF file: magic, version, two counts, the settings (key, type, value), the tensors (name,
 * axes with the columns first, type, offset). Versions 2 and 3; version 1 has counts and lengths of 4 bytes.
 *
 * Every length is checked against the file's size before memory is allocated for it. The package `@huggingface/gguf` takes eight
 * times as long, mostly for the hundred thousand texts of a vocabulary.
 */
import { UsageError } from "../../../errors.ts";
import type { ByteSource } from "../byte-source.ts";
import { type GgufInfo, HeaderWalk, NeedsBytes, damagedGguf } from "./header-walk.ts";

/** Fewest bytes of a tensor's entry and of a setting. */
const [MIN_TENSOR_BYTES, MIN_SETTING_BYTES] = [24, 13];
/** Offset of the settings from version 2 on: after magic, version and two counts. */
export const SETTINGS_OFFSET = 24;
/** Bytes of the first attempt to read; a header with a large vocabulary has several megabytes. */
const FIRST_BYTES = 1 << 22;
/** Tensors begin at multiples of this, unless a setting gives another number. */
export const DEFAULT_ALIGNMENT = 32;

export interface GgufHeader {
  readonly version: number;
  readonly numSettings: number;
  /** 64-bit whole numbers are bigint. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly infos: readonly GgufInfo[];
  readonly alignment: number;
  /** Offset of the first byte after the settings. */
  readonly settingsEnd: number;
  readonly dataOffset: number;
}

/** Reads the version. @throws UsageError "usage/model" for a file of the other byte order */
async function readVersion(file: ByteSource): Promise<number> {
  const { path } = file;
  const start = await file.read(0, Math.min(8, file.sizeBytes));
  const magic = new TextDecoder().decode(start.subarray(0, 4));
  if (magic !== "GGUF") throw damagedGguf(path, `it starts with ${JSON.stringify(magic)}`, "GGUF");
  if (start.length < 8) throw damagedGguf(path, `${start.length} bytes`, "a header");
  const version = new DataView(start.buffer).getUint32(4, true);
  if (version !== 0 && (version & 0xffff) === 0) {
    throw new UsageError(
      "usage/model",
      `Cannot read GGUF file "${path}": big-endian, expected little-endian`,
      { hint: "Download the little-endian file of the model." },
    );
  }
  if (version < 1 || version > 3) throw damagedGguf(path, `version ${version}`, "1, 2 or 3");
  return version;
}

/** Reads settings and tensors from the first bytes of a file. */
function readFrom(file: ByteSource, bytes: Uint8Array, version: number): GgufHeader {
  const { path, sizeBytes } = file;
  const walk = new HeaderWalk(file, bytes, version);
  const [numTensors, numSettings] = [walk.size(), walk.size()];
  const least = walk.at + numTensors * MIN_TENSOR_BYTES + numSettings * MIN_SETTING_BYTES;
  if (version > 1 && least > sizeBytes) {
    const expected = `at least ${least} for ${numTensors} tensors and ${numSettings} settings`;
    throw damagedGguf(path, `${sizeBytes} bytes`, expected);
  }
  const metadata: Record<string, unknown> = {};
  for (let i = 0; i < numSettings; i++) walk.setting(metadata);
  const settingsEnd = walk.at;
  const infos: GgufInfo[] = [];
  for (let i = 0; i < numTensors; i++) infos.push(walk.tensor());
  const alignment = Number(metadata["general.alignment"] ?? DEFAULT_ALIGNMENT);
  if (!Number.isSafeInteger(alignment) || alignment <= 0) {
    throw damagedGguf(path, `general.alignment ${alignment}`, "a whole number above 0");
  }
  const dataOffset = Math.ceil(walk.at / alignment) * alignment;
  return { version, numSettings, metadata, infos, alignment, settingsEnd, dataOffset };
}

/** Reads the header. @throws FormatError "format/file", UsageError "usage/model" */
export async function readGgufHeader(file: ByteSource): Promise<GgufHeader> {
  const version = await readVersion(file);
  for (let numBytes = Math.min(FIRST_BYTES, file.sizeBytes); ;) {
    const bytes = await file.read(0, numBytes);
    try {
      return readFrom(file, bytes, version);
    } catch (error) {
      if (!(error instanceof NeedsBytes)) throw error;
      numBytes = Math.min(file.sizeBytes, Math.max(error.end, 4 * numBytes));
    }
  }
}
