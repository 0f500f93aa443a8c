/** @file Writes small GGUF files for tests: version 3, little-endian, alignment 32. */

/** A metadata value with its type in the file. */
export type GgufValue =
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "uint32" | "int32" | "float32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "int32s"; readonly value: readonly number[] };

/** A tensor of the file: its raw bytes, and its shape with the rows first. */
export interface GgufTensorToWrite {
  readonly name: string;
  readonly ggmlType: number;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const TYPE_NUMBERS = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 };

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function encode({ type, value }: GgufValue): Buffer {
  if (type === "string") return Buffer.concat([uint32(TYPE_NUMBERS.string), text(value)]);
  if (type === "bool") return Buffer.concat([uint32(TYPE_NUMBERS.bool), Buffer.from([value ? 1 : 0])]);
  if (type === "strings" || type === "int32s") {
    const items = type === "strings" ? value.map(text) : value.map(uint32);
    const itemType = type === "strings" ? TYPE_NUMBERS.string : TYPE_NUMBERS.int32;
    return Buffer.concat([uint32(TYPE_NUMBERS.array), uint32(itemType), uint64(items.length), ...items]);
  }
  if (type !== "float32") return Buffer.concat([uint32(TYPE_NUMBERS[type]), uint32(value)]);
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([uint32(TYPE_NUMBERS.float32), bytes]);
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);
}

/** Builds the bytes of a GGUF file. */
export function buildGguf(
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensorToWrite[],
): Buffer {
  const entries = Object.entries(metadata);
  const header: Buffer[] = [Buffer.from("GGUF"), uint32(3), uint64(tensors.length), uint64(entries.length)];
  for (const [key, value] of entries) header.push(text(key), encode(value));
  let offset = 0;
  for (const { name, shape, ggmlType, bytes } of tensors) {
    header.push(
      text(name),
      uint32(shape.length),
      ...shape.toReversed().map(uint64),
      uint32(ggmlType),
      uint64(offset),
    );
    offset += padded(bytes).length;
  }
  return Buffer.concat([padded(Buffer.concat(header)), ...tensors.map(({ bytes }) => padded(bytes))]);
}

/** Wraps plain values for `buildGguf`; whole numbers become uint32, others float32. */
export function ggufValues(
  values: Readonly<Record<string, string | number | boolean | readonly string[]>>,
): Record<string, GgufValue> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]): [string, GgufValue] => {
      if (typeof value === "string") return [key, { type: "string", value }];
      if (typeof value === "boolean") return [key, { type: "bool", value }];
      if (typeof value === "number")
        return [key, { type: Number.isInteger(value) ? "uint32" : "float32", value }];
      return [key, { type: "strings", value }];
    }),
  );
}
