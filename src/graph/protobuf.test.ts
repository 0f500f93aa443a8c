/** @file Messages are those that protobufjs reads, and writes, of the same schema. */
import assert from "node:assert/strict";
import { test } from "node:test";
import protobuf from "protobufjs";
import { protobufWriter, wholeNumberIn } from "./protobuf.ts";

const write = protobufWriter({
  Outer: {
    numbers: ["int64", 2, "repeated"],
    text: ["string", 3],
    bytes: ["bytes", 4],
    small: ["float", 5],
    large: ["double", 6],
    inner: ["Inner", 16, "repeated"],
    number: ["int64", 17],
  },
  Inner: { text: ["string", 1], number: ["int32", 2] },
});
const { root } = protobuf.parse(`
  syntax = "proto2";
  message Outer { repeated int64 numbers = 2; optional string text = 3; optional bytes bytes = 4;
    optional float small = 5; optional double large = 6; repeated Inner inner = 16; optional int64 number = 17; }
  message Inner { optional string text = 1; optional int32 number = 2; }
`);
const type = root.lookupType("Outer");

const VALUES = [
  {},
  { number: 0, text: "", bytes: new Uint8Array(0), small: 0, large: -0, inner: [{}] },
  { numbers: [0, 1, 127, 128, 16_384, 2 ** 31, 2 ** 53 - 1, -1, -(2 ** 53 - 1)] },
  { text: "a\0é𝄞", small: -1.5, large: Math.PI, inner: [{ text: "x".repeat(200) }, { number: -7 }] },
  { number: 300, bytes: Uint8Array.from({ length: 200_000 }, (_, i) => i), inner: [{ text: "y" }] },
];

for (const [i, value] of VALUES.entries()) {
  test(`message ${i} has the bytes of protobufjs`, () => {
    const expected = type.encode(type.create(value)).finish();
    assert.deepEqual(new Uint8Array(write("Outer", value)), new Uint8Array(expected));
  });
}

test("wholeNumberIn() finds a field behind fields of all kinds, and 0 for none", () => {
  const before = { text: "text", bytes: Uint8Array.of(8, 1), small: 1, large: 2, numbers: [1, 2] };
  const message = write("Outer", { ...before, inner: [{ number: 5 }], number: 2 ** 40 + 1 });
  assert.equal(wholeNumberIn(message, 17), 2 ** 40 + 1);
  assert.equal(wholeNumberIn(write("Outer", { ...before, inner: [{ number: 5 }] }), 17), 0);
});
