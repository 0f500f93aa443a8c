/** @file Products of one input with bound matrices are one; those with matrices that are fed, or of another input, are not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph, type Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { matmulBits } from "../../graph/ops/products/matmul-bits.ts";
import { matmulInt8 } from "../../graph/ops/products/matmul-int8.ts";
import { nodesOf } from "../../graph/program.ts";
import { findJoined } from "./join-products.ts";

const OPTIONS = { bits: 4, activations: "int8" } as const;

test("findJoined() groups products of one input whose matrices are bound and alike", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["B", "T", 64]);
  const inputs: Record<string, Value> = { x };
  const product = (of: Value, name: string, numOutputs: number): Value => {
    const codes = (inputs[`${name}.codes`] = graph.input(`${name}.codes`, "uint8", [numOutputs, 2, 16]));
    const scales = (inputs[`${name}.scales`] = graph.input(`${name}.scales`, "float32", [numOutputs, 2]));
    return matmulBits(of, { codes, scales }, OPTIONS);
  };
  const [query, key, fed] = [product(x, "query", 64), product(x, "key", 32), product(x, "fed", 64)];
  const other = product(add(query, fed), "other", 64);
  const nodes = nodesOf({ name: "products", inputs, outputs: { key, other } });
  const joined = findJoined(nodes, ({ name }) => name !== "fed.codes" && name !== "fed.scales");
  const group = [query.node, key.node];
  assert.deepEqual(new Set(joined.get(query.node!)), new Set(group));
  assert.equal(joined.get(key.node!), joined.get(query.node!));
  assert.deepEqual([joined.has(fed.node!), joined.has(other.node!)], [false, false]);
});

test("findJoined() groups products in whole numbers, whose outputs lie along the last axis of their codes", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["B", "T", 8]);
  const inputs: Record<string, Value> = { x };
  const matrix = (name: string, numOutputs: number): [Value, Value] => [
    (inputs[`${name}.codes`] = graph.input(`${name}.codes`, "int8", [8, numOutputs])),
    (inputs[`${name}.scales`] = graph.input(`${name}.scales`, "float32", [numOutputs])),
  ];
  const [gate, up] = [matmulInt8(x, ...matrix("gate", 6)), matmulInt8(x, ...matrix("up", 10))];
  const spec = { name: "products", inputs, outputs: { gate, up } };
  assert.deepEqual(findJoined(nodesOf(spec), () => true).get(up.node!), [gate.node, up.node]);
});
