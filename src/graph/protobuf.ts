/**
 * @file Messages of protobuf, written by a table of their fields: what graft writes of other programs' schemas.
 *
 * From the end to the beginning, since the length of a message stands before it. Numbers that come several times are fields
 * of their own, as in version 2 of the language.
 */

/** Types of fields that are no messages, and how each begins on the wire. */
const WIRE = { int32: 0, int64: 0, double: 1, string: 2, bytes: 2, float: 5 } as const;
type Scalar = keyof typeof WIRE;
const DELIMITED = 2;

/** Field → its type, a scalar or the name of a message, its number, and whether there are several; by their numbers. */
export type MessageFields = Readonly<Record<string, readonly [type: string, id: number, rule?: "repeated"]>>;

/** Values by field; what is undefined or null is not written. */
export type MessageValue = Readonly<Record<string, unknown>>;

/** The whole number, from 0, of a field of a message; 0 where it is not there. */
export function wholeNumberIn(message: Uint8Array, wanted: number): number {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const wire = tag % 8;
    if (wire === WIRE.double) at += 8;
    else if (wire === WIRE.float) at += 4;
    else {
      const value = varint();
      if (wire === DELIMITED) at += value;
      else if (Math.floor(tag / 8) === wanted) return value;
    }
  }
  return 0;
}

/** Makes what writes messages of a schema, by name. The bytes are fresh. */
export function protobufWriter(
  messages: Readonly<Record<string, MessageFields>>,
): (name: string, value: MessageValue) => Uint8Array {
  const write = (bytes: BytesFromEnd, name: string, value: MessageValue): void => {
    for (const [field, [type, id, rule]] of Object.entries(messages[name]!).toReversed()) {
      const found = value[field] ?? null;
      if (found === null) continue;
      const items = (rule === "repeated" ? found : [found]) as readonly unknown[];
      const wire = type in WIRE ? WIRE[type as Scalar] : DELIMITED;
      for (const item of items.toReversed()) {
        const end = bytes.length;
        if (type in WIRE) bytes.scalar(type as Scalar, item);
        else write(bytes, type, item as MessageValue);
        if (wire === DELIMITED) bytes.varint(bytes.length - end);
        bytes.varint(8 * id + wire);
      }
    }
  };
  return (name, value) => {
    const bytes = new BytesFromEnd();
    write(bytes, name, value);
    return bytes.take();
  };
}

const TEXT = new TextEncoder();

/** Bytes that are written before those that are there. */
class BytesFromEnd {
  #bytes = new Uint8Array(1 << 16);
  length = 0;

  /** Makes room for so many bytes; returns where they begin. */
  #before(count: number): number {
    this.length += count;
    if (this.length > this.#bytes.length) {
      const old = this.#bytes;
      this.#bytes = new Uint8Array(Math.max(2 * old.length, this.length));
      this.#bytes.set(old, this.#bytes.length - old.length);
    }
    return this.#bytes.length - this.length;
  }

  scalar(type: Scalar, value: unknown): void {
    if (type === "string") this.#put(TEXT.encode(value as string));
    else if (type === "bytes") this.#put(value as Uint8Array);
    else if (type === "float") this.#put(new Uint8Array(Float32Array.of(value as number).buffer));
    else if (type === "double") this.#put(new Uint8Array(Float64Array.of(value as number).buffer));
    else this.varint(value as number);
  }

  #put(bytes: Uint8Array): void {
    const at = this.#before(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** A whole number, seven bits a byte, the lowest first; those below 0 as 64 bits of two's complement. */
  varint(value: number): void {
    if (value >= 0 && value < 128) {
      const at = this.#before(1);
      this.#bytes[at] = value;
      return;
    }
    const bytes: number[] = [];
    for (let rest = BigInt.asUintN(64, BigInt(value)); rest > 0n; rest >>= 7n)
      bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    this.#put(Uint8Array.from(bytes));
  }

  take(): Uint8Array {
    return this.#bytes.slice(this.#bytes.length - this.length);
  }
}
