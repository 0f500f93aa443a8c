/**
 * @file Encodes protobuf messages from a table of their fields, for other programs' schemas. It uses only the writer and reader
 * of protobufjs: its encoders are generated code, which a web page may forbid.
 */
import protobuf from "protobufjs/minimal.js";

/** Types of fields that are not messages, with their wire types. */
const WIRE_TYPES = { int32: 0, int64: 0, double: 1, string: 2, bytes: 2, float: 5 } as const;
type Scalar = keyof typeof WIRE_TYPES;
const MESSAGE = 2;

/** Field → its type, its number, and whether it is repeated. */
export type MessageFields = Readonly<Record<string, readonly [type: string, id: number, rule?: "repeated"]>>;

/** A message as an object of its fields; undefined fields are left out. */
type Message = Readonly<Record<string, unknown>>;

/** Encodes a message of a schema; fields come in the order of the table. The bytes are fresh. */
export function encodeMessage(
  messages: Readonly<Record<string, MessageFields>>,
  name: string,
  message: Message,
): Uint8Array {
  const write = (writer: protobuf.Writer, type: string, value: unknown, id: number): void => {
    const wire = WIRE_TYPES[type as Scalar] as number | undefined;
    writer.uint32((id << 3) | (wire ?? MESSAGE));
    if (wire !== undefined) writer[type as Scalar](value as never);
    else writeFields(writer.fork(), type, value as Message).ldelim();
  };
  // Prepared once, as a file has thousands of messages of few types.
  const tables = Object.fromEntries(Object.entries(messages).map(([type, of]) => [type, Object.entries(of)]));
  const writeFields = (writer: protobuf.Writer, type: string, fields: Message): protobuf.Writer => {
    for (const [field, [fieldType, id, rule]] of tables[type]!) {
      const value = fields[field];
      if (value === undefined) continue;
      if (!rule) write(writer, fieldType, value, id);
      else for (const each of value as readonly unknown[]) write(writer, fieldType, each, id);
    }
    return writer;
  };
  return writeFields(protobuf.Writer.create(), name, message).finish();
}

/** Reads an integer field of an encoded message; null: the message does not have it. */
export function readInteger(message: Uint8Array, id: number): number | null {
  const reader = protobuf.Reader.create(message);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === ((id << 3) | WIRE_TYPES.int64)) return Number(reader.int64());
    reader.skipType(tag & 7);
  }
  return null;
}
