/** @file Numbers that grow where they are: what was there stays, programs read them, and nobody else can resize them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostTensor } from "../host-tensor.ts";
import { Borrowed } from "./borrowed-memory.ts";
import { Growing } from "./growing.ts";

test("what was there stays in its place, and what is new is zero", () => {
  const memory = new Growing(6);
  const first = memory.growTo(2);
  first.set([1, 2]);
  const all = memory.growTo(6);
  assert.equal(all.buffer, first.buffer);
  assert.deepEqual([...all], [1, 2, 0, 0, 0, 0]);
  all[0] = 3;
  assert.equal(first[0], 3);
  assert.equal(memory.growTo(4).length, 6);
});

test("it cannot have more than room was reserved for", () => {
  const memory = new Growing(2);
  assert.throws(() => memory.growTo(3), {
    code: "capacity/memory",
    message: /^Cannot make 3 numbers: 12B/,
  });
  assert.throws(() => new Growing(2 ** 60), { code: "capacity/memory" });
});

test("programs read it, as nobody can make it shorter meanwhile", () => {
  const numbers = new Growing(4).growTo(2);
  const borrowed = new Borrowed(hostTensor("float32", [2], numbers), "x");
  assert.ok(borrowed.read());
  assert.throws(() => numbers.buffer.resize(0), /^TypeError: Cannot resize/);
  borrowed.endRead();
});
