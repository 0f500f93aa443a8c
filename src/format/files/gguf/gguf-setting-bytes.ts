/**
 * @file Settings of a GGUF file as bytes, one after another: key, number of the type, value, little-endian. Texts and lists are
 * preceded by their length, 8 bytes; a list gives the type of its elements once.
 */
import { bytesOf, joinBytes } from "../../../graph/dtype.ts";
import type { GgufSettings } from "./gguf.ts";
import { DEFAULT_ALIGNMENT } from "./gguf-header.ts";

/** The TypeScript type for values of each type of setting. */
interface ValueTypes {
  string: string;
  uint32: number;
  int32: number;
  float32: number;
  bool: boolean;
  strings: readonly string[];
  bools: readonly boolean[];
  int32s: readonly number[];
  float32s: readonly number[];
}

/** A setting with its type in the file. */
export type GgufValue = {
  [T in keyof ValueTypes]: { readonly type: T; readonly value: ValueTypes[T] };
}[keyof ValueTypes];

/** Numbers that stand for types in the file. */
const [UINT32, INT32, FLOAT32, BOOL, STRING, LIST] = [4, 5, 6, 7, 8, 9];

type Parts = readonly Uint8Array[];

/** Negative numbers are encoded as int32. */
export const uint32 = (value: number): Uint8Array => bytesOf(Int32Array.of(value));
export const uint64 = (value: number): Uint8Array => bytesOf(BigInt64Array.of(BigInt(value)));
const float32 = (value: number): Uint8Array => bytesOf(Float32Array.of(value));
const bool = (value: boolean): Uint8Array => Uint8Array.of(Number(value));

/** Encodes a text: its length, then its UTF-8. */
export function text(value: string): Parts {
  const bytes = new TextEncoder().encode(value);
  return [uint64(bytes.length), bytes];
}

function list<T>(elementType: number, values: readonly T[], parts: (value: T) => Uint8Array | Parts): Parts {
  return [uint32(LIST), uint32(elementType), uint64(values.length), ...values.flatMap(parts)];
}

/** Encodes a value: the number of its type, then the value. */
function typedValue({ type, value }: GgufValue): Parts {
  if (type === "uint32") return [uint32(UINT32), uint32(value)];
  if (type === "int32") return [uint32(INT32), uint32(value)];
  if (type === "float32") return [uint32(FLOAT32), float32(value)];
  if (type === "bool") return [uint32(BOOL), bool(value)];
  if (type === "string") return [uint32(STRING), ...text(value)];
  if (type === "strings") return list(STRING, value, text);
  if (type === "bools") return list(BOOL, value, bool);
  return type === "int32s" ? list(INT32, value, uint32) : list(FLOAT32, value, float32);
}

/** Encodes settings; tensors begin at multiples of `general.alignment` if it is among them. */
export function encodeSettings(values: Readonly<Record<string, GgufValue>>): GgufSettings {
  const entries = Object.entries(values);
  return {
    count: entries.length,
    bytes: joinBytes(entries.flatMap(([key, value]) => [...text(key), ...typedValue(value)])),
    alignment: Number(values["general.alignment"]?.value ?? DEFAULT_ALIGNMENT),
  };
}

/** Replaces the value of a uint32 among encoded settings; settings without it are returned unchanged. */
export function replaceUint32(settings: GgufSettings, key: string, value: number): GgufSettings {
  return replaceBehind(settings, [...text(key), uint32(UINT32)], uint32(value));
}

/** Does the same for a list of float32 numbers; a list of another length is left unchanged. */
export function replaceFloat32s(
  settings: GgufSettings,
  key: string,
  values: readonly number[],
): GgufSettings {
  const header = list(FLOAT32, values, () => []);
  return replaceBehind(settings, [...text(key), ...header], joinBytes(values.map(float32)));
}

/** Replaces the bytes after those of a key; the length at the start of `key` keeps it from being found inside a text. */
function replaceBehind(settings: GgufSettings, key: Parts, value: Uint8Array): GgufSettings {
  const before = joinBytes(key);
  const start = indexOfBytes(settings.bytes, before);
  if (start < 0) return settings;
  const bytes = settings.bytes.slice();
  bytes.set(value, start + before.length);
  return { ...settings, bytes };
}

/** Offset of `part` in `bytes`; -1 if it is not there. */
function indexOfBytes(bytes: Uint8Array, part: Uint8Array): number {
  for (let start = bytes.indexOf(part[0]!); start >= 0; start = bytes.indexOf(part[0]!, start + 1)) {
    if (part.every((byte, i) => bytes[start + i] === byte)) return start;
  }
  return -1;
}
