/**
 * @file Settings of a GGUF file as bytes, one after another: key, number of the type, value, little-endian. Texts and lists
 * have their length before them, 8 bytes; a list says the type of its elements once.
 */
import type { GgufSettings } from "./gguf.ts";
import { DEFAULT_ALIGNMENT } from "./gguf-header.ts";

/** What values of each type are here. */
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

/** Numbers of the types. */
const [UINT32, INT32, FLOAT32, BOOL, STRING, LIST] = [4, 5, 6, 7, 8, 9];

type Parts = readonly Uint8Array[];

function numberBytes(numBytes: number, put: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(numBytes);
  put(new DataView(bytes.buffer));
  return bytes;
}

const uint32 = (value: number): Uint8Array => numberBytes(4, (view) => view.setUint32(0, value, true));
const int32 = (value: number): Uint8Array => numberBytes(4, (view) => view.setInt32(0, value, true));
const float32 = (value: number): Uint8Array => numberBytes(4, (view) => view.setFloat32(0, value, true));
const bool = (value: boolean): Uint8Array => Uint8Array.of(Number(value));
const length = (value: number): Uint8Array =>
  numberBytes(8, (view) => view.setBigUint64(0, BigInt(value), true));

function text(value: string): Parts {
  const bytes = new TextEncoder().encode(value);
  return [length(bytes.length), bytes];
}

function list<T>(elementType: number, values: readonly T[], parts: (value: T) => Uint8Array | Parts): Parts {
  return [uint32(LIST), uint32(elementType), length(values.length), ...values.flatMap(parts)];
}

/** The number of a value's type, and the value. */
function typedValue({ type, value }: GgufValue): Parts {
  if (type === "uint32") return [uint32(UINT32), uint32(value)];
  if (type === "int32") return [uint32(INT32), int32(value)];
  if (type === "float32") return [uint32(FLOAT32), float32(value)];
  if (type === "bool") return [uint32(BOOL), bool(value)];
  if (type === "string") return [uint32(STRING), ...text(value)];
  if (type === "strings") return list(STRING, value, text);
  if (type === "bools") return list(BOOL, value, bool);
  return type === "int32s" ? list(INT32, value, int32) : list(FLOAT32, value, float32);
}

function joined(parts: Parts): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Encodes settings; `general.alignment` among them decides where tensors begin. */
export function encodeSettings(values: Readonly<Record<string, GgufValue>>): GgufSettings {
  const entries = Object.entries(values);
  return {
    count: entries.length,
    bytes: joined(entries.flatMap(([key, value]) => [...text(key), ...typedValue(value)])),
    alignment: Number(values["general.alignment"]?.value ?? DEFAULT_ALIGNMENT),
  };
}

/** Gives a whole number among encoded settings another value; settings without it are returned as they are. */
export function replaceUint32(settings: GgufSettings, key: string, value: number): GgufSettings {
  // The length before the key keeps it from being found inside a text.
  const before = joined([...text(key), uint32(UINT32)]);
  const start = indexOfBytes(settings.bytes, before);
  if (start < 0) return settings;
  const bytes = settings.bytes.slice();
  bytes.set(uint32(value), start + before.length);
  return { ...settings, bytes };
}

/** Where `part` begins in `bytes`; -1 when it is nowhere in it. */
function indexOfBytes(bytes: Uint8Array, part: Uint8Array): number {
  for (let start = bytes.indexOf(part[0]!); start >= 0; start = bytes.indexOf(part[0]!, start + 1)) {
    if (part.every((byte, i) => bytes[start + i] === byte)) return start;
  }
  return -1;
}
