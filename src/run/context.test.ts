/** @file What the programs of a pass are given: declared inputs alone, made once and given back; tables that grow. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PartGraph } from "../models/graphs/part-graph.ts";
import { PLAIN_PART } from "../models/graphs/part-options.ts";
import { KEY_POSITIONS, type PassFacts, POSITIONS, SEGMENTS, passInput } from "../nn/pass.ts";
import type { AttentionOptions } from "../nn/builder.ts";
import { BufferPool } from "../runtime/memory/buffer-pool.ts";
import { PassContext, PassTables } from "./context.ts";

/** Two rows of three tokens; the second is two examples. */
const FACTS: PassFacts = {
  numRows: 2,
  length: 3,
  positions: BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 0n),
  segments: Int32Array.of(1, 1, 1, 1, 1, 2),
  tokenTypes: null,
  keys: null,
  textLengths: null,
  isPromptEnd: null,
};

const ATTENTION: AttentionOptions = {
  numHeads: 2,
  numKeyValueHeads: 1,
  headWidth: 4,
  scale: 0.5,
  rope: { theta: 100, width: 4, scaling: { kind: "none" } },
  window: null,
  softcap: null,
  causal: true,
};

/** A part with one attention. */
function attentionPart(): PartGraph {
  const part = new PartGraph(PLAIN_PART);
  const [q, kv] = [
    part.graph.input("q", "float32", ["B", "T", 8]),
    part.graph.input("kv", "float32", ["B", "T", 4]),
  ];
  part.attend(q, kv, kv, ATTENTION);
  return part;
}

test("only inputs that a part declares are made, once for all parts, and all are given back", () => {
  const pool = new BufferPool();
  const context = new PassContext(FACTS, pool, new PassTables());
  const [positions, both] = [new PartGraph(PLAIN_PART), new PartGraph(PLAIN_PART)];
  positions.input(POSITIONS);
  for (const input of [POSITIONS, SEGMENTS]) both.input(input);

  const first = context.tensors(positions);
  assert.deepEqual(Object.keys(first), ["positions"]);
  assert.deepEqual([first["positions"]?.shape, first["positions"]?.data], [[2, 3], FACTS.positions]);
  const bytesOfOne = pool.allocatedBytes;
  assert.ok(bytesOfOne > 0);

  const second = context.tensors(both);
  assert.deepEqual(Object.keys(second), ["positions", "segments"]);
  assert.equal(second["positions"], first["positions"]);
  assert.deepEqual(second["segments"]?.data, BigInt64Array.of(1n, 1n, 1n, 1n, 1n, 2n));
  assert.equal(pool.allocatedBytes, 2 * bytesOfOne);

  context.release();
  pool.clear();
  assert.equal(pool.allocatedBytes, 0, "something is still lent");
});

test("a part without pass inputs is given nothing, and nothing is allocated", () => {
  const pool = new BufferPool();
  const context = new PassContext(FACTS, pool, new PassTables());
  assert.deepEqual(context.tensors(new PartGraph(PLAIN_PART)), {});
  assert.equal(pool.allocatedBytes, 0);
});

test("attention is given positions, segments and rotary tables with a row for each position", () => {
  const context = new PassContext(FACTS, new BufferPool(), new PassTables());
  const part = attentionPart();
  const tensors = context.tensors(part);
  assert.deepEqual(Object.keys(tensors).sort(), [...part.passInputs.keys(), ...part.tables.keys()].sort());
  const tables = [...part.tables.keys()].map((name) => tensors[name]!);
  for (const { shape } of tables) assert.deepEqual(shape, [3, 2]);
  // Position 2 of the pair that turns by 100^(-2/4) = 0.1 a position.
  assert.deepEqual(
    tables.map(({ data }) => data[2 * 2 + 1]),
    [Math.cos(0.2), Math.sin(0.2)].map(Math.fround),
  );
});

test("tables are shared by passes, have rows for positions beyond the row's length, and at least double", () => {
  const tables = new PassTables();
  const part = attentionPart();
  const rowsFor = (lastPosition: bigint): readonly unknown[] => {
    const facts = { ...FACTS, positions: BigInt64Array.of(0n, 1n, 2n, 0n, 1n, lastPosition) };
    const tensors = new PassContext(facts, new BufferPool(), tables).tensors(part);
    return [...part.tables.keys()].map((name) => tensors[name]);
  };
  const shapes = (made: readonly unknown[]): unknown =>
    made.map((tensor) => (tensor as { shape: unknown }).shape);
  const short = rowsFor(9n);
  assert.deepEqual(shapes(short), [
    [10, 2],
    [10, 2],
  ]);
  rowsFor(4n).forEach((tensor, i) => assert.equal(tensor, short[i]));
  assert.deepEqual(shapes(rowsFor(10n)), [
    [20, 2],
    [20, 2],
  ]);
});

test("with a cache, P is what stands before, and keys have places of their own", () => {
  const keys = {
    positions: BigInt64Array.of(0n, 1n, 2n, 3n, 4n),
    segments: new Int32Array(5).fill(1),
  };
  const facts = {
    ...FACTS,
    numRows: 1,
    length: 2,
    positions: BigInt64Array.of(3n, 4n),
    segments: Int32Array.of(1, 1),
    keys,
  };
  const context = new PassContext(facts, new BufferPool(), new PassTables());
  assert.deepEqual(context.bindings, { B: 1, T: 2, P: 3 });
  const part = new PartGraph(PLAIN_PART);
  for (const input of [POSITIONS, KEY_POSITIONS]) part.input(input);
  const tensors = context.tensors(part);
  assert.deepEqual(tensors["keyPositions"]?.shape, [1, 5]);
  assert.deepEqual(tensors["keyPositions"]?.data, keys.positions);
  assert.deepEqual(tensors["positions"]?.data, facts.positions);
});

test("an input of another's own is filled from the facts of the pass", () => {
  const ends = passInput({
    name: "ends",
    dtype: "float32",
    shape: ["B", "T"],
    perPrompt: true,
    fill: ({ isPromptEnd, numRows, length }, data) => {
      for (let i = 0; i < numRows * length; i++)
        data[i] = isPromptEnd?.(Math.floor(i / length), i % length) ? 1 : 0;
    },
  });
  const part = new PartGraph(PLAIN_PART);
  part.input(ends);
  const facts = { ...FACTS, isPromptEnd: (row: number, index: number) => row === 1 && index === 2 };
  const { ends: tensor } = new PassContext(facts, new BufferPool(), new PassTables()).tensors(part);
  assert.deepEqual(tensor?.data, Float32Array.of(0, 0, 0, 0, 0, 1));
});
