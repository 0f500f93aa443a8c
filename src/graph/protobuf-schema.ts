/** @file Messages of protobuf from a table of their fields: what graft writes and reads of other programs' schemas. */
import protobuf from "protobufjs/light.js";
import type { MessageFields } from "./protobuf-writer.ts";

/** Makes the messages of a schema, by name. */
export function protobufSchema(messages: Readonly<Record<string, MessageFields>>): protobuf.Root {
  const schema = new protobuf.Root();
  for (const [name, fields] of Object.entries(messages)) {
    const type = new protobuf.Type(name);
    for (const [field, [fieldType, id, rule]] of Object.entries(fields)) {
      type.add(new protobuf.Field(field, id, fieldType, rule));
    }
    schema.add(type);
  }
  schema.resolveAll();
  return schema;
}
