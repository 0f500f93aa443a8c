/** @file The ONNX file of a program, read back field by field with a reader of its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import protobuf from "protobufjs";
import { PLAIN_TARGET } from "./emitter.ts";
import { Graph } from "./graph.ts";
import { toOnnx } from "./onnx.ts";
import { add } from "./ops/pointwise/elementwise.ts";
import { matmul } from "./ops/products/matmul.ts";
import { reduceSum } from "./ops/shapes/reduce-expand.ts";
import { transpose } from "./ops/shapes/transpose.ts";

// Written down apart from onnx.ts, from the field numbers of the public schema, so a slip there shows here.
const { root } = protobuf.parse(`
  syntax = "proto2";
  message Opset { optional string domain = 1; optional int64 version = 2; }
  message Model { optional int64 ir_version = 1; optional string producer_name = 2; optional Graph graph = 7; repeated Opset opset_import = 8; }
  message Graph { repeated Node node = 1; optional string name = 2; repeated Tensor initializer = 5; repeated ValueInfo input = 11; repeated ValueInfo output = 12; }
  message Node { repeated string input = 1; repeated string output = 2; optional string op_type = 4; repeated Attribute attribute = 5; optional string domain = 7; }
  message Attribute { optional string name = 1; optional float f = 2; optional int64 i = 3; optional bytes s = 4; repeated int64 ints = 8; optional int32 type = 20; }
  message Tensor { repeated int64 dims = 1; optional int32 data_type = 2; optional string name = 8; optional bytes raw_data = 9; }
  message ValueInfo { optional string name = 1; optional Type type = 2; }
  message Type { optional TensorType tensor_type = 1; }
  message TensorType { optional int32 elem_type = 1; optional Dims shape = 2; }
  message Dims { repeated Dimension dim = 1; }
  message Dimension { optional int64 dim_value = 1; optional string dim_param = 2; }
`);

interface Model {
  readonly opsetImport: readonly unknown[];
  readonly graph: Readonly<Record<"name" | "node" | "initializer" | "input" | "output", unknown>>;
}

function read(bytes: Uint8Array): Model {
  const type = root.lookupType("Model");
  return type.toObject(type.decode(bytes), { longs: Number, bytes: Array }) as Model;
}

test("toOnnx() writes the names, types, nodes, attributes and constants of a program", () => {
  const graph = new Graph();
  const a = graph.input("first", "float32", ["B", 4]);
  const b = graph.input("second", "float32", [3, 4]);
  const product = matmul(a, b, { transB: true, alpha: 0 });
  const y = add(product, graph.scalar(2));
  const model = read(toOnnx({ name: "head", inputs: { a, b }, outputs: { y } }, PLAIN_TARGET));
  assert.deepEqual(model.opsetImport, [
    { domain: "", version: 23 },
    { domain: "com.microsoft", version: 1 },
  ]);
  const tensorType = (...dim: object[]) => ({ tensorType: { elemType: 1, shape: { dim } } });
  const [inner, constant] = (model.graph.node as { input: string[] }[])[1]!.input;
  assert.deepEqual(model.graph, {
    name: "head",
    input: [
      { name: "a", type: tensorType({ dimParam: "B" }, { dimValue: 4 }) },
      { name: "b", type: tensorType({ dimValue: 3 }, { dimValue: 4 }) },
    ],
    output: [{ name: "y", type: tensorType({ dimParam: "B" }, { dimValue: 3 }) }],
    node: [
      {
        input: ["a", "b"],
        output: [inner],
        opType: "FusedMatMul",
        domain: "com.microsoft",
        attribute: [
          { name: "transA", i: 0, type: 2 },
          { name: "transB", i: 1, type: 2 },
          { name: "alpha", f: 0, type: 1 },
        ],
      },
      { input: [inner, constant], output: ["y"], opType: "Add", domain: "" },
    ],
    initializer: [{ name: constant, dataType: 1, rawData: [0, 0, 0, 64] }],
  });
});

test("toOnnx() writes lists of integers, and integer constants as 64-bit words", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2, 3]);
  const y = reduceSum(transpose(x, [1, 0]), [0]);
  const { graph: file } = read(toOnnx({ name: "sums", inputs: { x }, outputs: { y } }, PLAIN_TARGET));
  const nodes = file.node as { attribute: unknown[] }[];
  assert.deepEqual(nodes[0]?.attribute, [{ name: "perm", ints: [1, 0], type: 7 }]);
  const [axes] = file.initializer as { dims: number[]; dataType: number; rawData: number[] }[];
  assert.deepEqual([axes?.dims, axes?.dataType, axes?.rawData], [[1], 7, [0, 0, 0, 0, 0, 0, 0, 0]]);
});

test("toOnnx() writes only the part of a constant's buffer that the constant views", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const whole = Float32Array.of(9, 1, 2, 9);
  const y = add(x, graph.constant("float32", [2], whole.subarray(1, 3)));
  const { graph: file } = read(toOnnx({ name: "view", inputs: { x }, outputs: { y } }, PLAIN_TARGET));
  const [constant] = file.initializer as { rawData: number[] }[];
  assert.deepEqual(constant?.rawData, [...new Uint8Array(Float32Array.of(1, 2).buffer)]);
});
