/** @file Models with tensors of kinds that graft only reads: they compute what their values say, and merging changes kinds. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openCheckpoint, openGguf } from "../../src/format/by-path.ts";
import { loadWeights } from "../../src/format/checkpoint/load-model.ts";
import { chooseKind } from "../../src/export/merged/merged-kinds.ts";
import { type MergeReport, writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { STORAGES, type StorageName, WRITABLE_NAMES } from "../../src/quant/storages.ts";
import { dequantize, packStored, quantizeTo, unpackStored } from "../../src/quant/stored-tensor.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo, batchFromRows, logitsOf, perturb } from "../passes/model-passes.ts";
import { randomTensor } from "../tiny/random-blocks.ts";
import { buildTinyGguf, ggufValues, type RawTensor, TINY_TOKENS } from "../tiny/gguf.ts";
import { temporaryFolder } from "../tiny/model.ts";

const [WIDTH, KEY_WIDTH] = [256, 128];
const engine = createEngine({ threads: 1 });
const root = temporaryFolder();
const batch = batchFromRows({ input_ids: [[0, 2, 3, 4, 5, 2, 1]] });
const random = new Random(3);

/** Each kind once; the projections' kinds become others when they are merged. */
const KINDS = {
  attn_q: ["q4_k", [WIDTH, WIDTH], "q4_0"],
  attn_k: ["q5_k", [KEY_WIDTH, WIDTH], "q5_0"],
  attn_v: ["q6_k", [KEY_WIDTH, WIDTH], "q8_0"],
  attn_output: ["iq4_xs", [WIDTH, WIDTH], "q4_0"],
  ffn_gate: ["q3_k", [WIDTH, WIDTH], "q4_0"],
  ffn_up: ["q2_k", [WIDTH, WIDTH], "q4_0"],
  ffn_down: ["iq4_nl", [WIDTH, WIDTH], "q4_0"],
} as const satisfies Record<string, readonly [StorageName, readonly number[], StorageName]>;

const ones = (name: string): RawTensor => ({
  name,
  shape: [WIDTH],
  ggmlType: 0,
  bytes: packStored(quantizeTo("f32", new Float32Array(WIDTH).fill(1), [WIDTH])),
});

const tensors = [
  randomTensor("token_embd.weight", "q6_k", [TINY_TOKENS.length, WIDTH], 1, random),
  ...["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"].map((name) => ones(`${name}.weight`)),
  ...Object.entries(KINDS).map(([site, [kind, shape]]) =>
    randomTensor(`blk.0.${site}.weight`, kind, shape, WIDTH ** -0.5, random),
  ),
];

function writeModel(name: string, contents: readonly RawTensor[]): string {
  const path = join(root, name);
  const sizes = ggufValues({
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": WIDTH,
    "llama.rope.dimension_count": WIDTH / 2,
  });
  writeFileSync(path, buildTinyGguf(sizes, contents));
  return path;
}

const kindOf = ({ ggmlType }: RawTensor): StorageName =>
  (Object.keys(STORAGES) as StorageName[]).find((name) => STORAGES[name].ggmlTypes.includes(ggmlType))!;

const model = writeModel("mixed.gguf", tensors);

async function logits(path: string): Promise<Float32Array> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await logitsOf(engine, await loadWeights(path, checkpoint), null, batch);
  } finally {
    await checkpoint.close();
  }
}

async function merge(
  output: string,
  type: StorageName | null,
): Promise<MergeReport & { readonly expected: Float32Array }> {
  const checkpoint = await openCheckpoint(model);
  try {
    const base = await loadWeights(model, checkpoint);
    const adapter = await attachTo(base, findMethod("lora"));
    perturb(adapter, 0.1);
    const kind = chooseKind("gguf", "gguf", type);
    const request = { engine, base, checkpoint, adapter, path: output, to: "gguf", kind } as const;
    const report = await writeMergedModel(request);
    return { ...report, expected: await logitsOf(engine, base, adapter, batch) };
  } finally {
    await checkpoint.close();
  }
}

const distance = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(
    a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0) / b.reduce((sum, v) => sum + v ** 2, 0),
  );

test("a model of all kinds computes exactly what its values in float32 do", async () => {
  const widened = tensors.map((tensor) => {
    const { name, shape, bytes } = tensor;
    const values = dequantize(unpackStored(kindOf(tensor), bytes, shape));
    return { name, shape, ggmlType: 0, bytes: packStored(quantizeTo("f32", values, shape)) };
  });
  const found = await logits(model);
  assert.ok(found.every(Number.isFinite) && found.some((value) => Math.abs(value) > 1e-3));
  assert.deepEqual(found, await logits(writeModel("f32.gguf", widened)));
});

test("merging writes changed tensors in the next kind that graft writes, says so, and keeps the others", async () => {
  const path = join(root, "merged.gguf");
  const { substitutes, numChanged, rounding, expected } = await merge(path, null);
  assert.equal(numChanged, 7);
  const perPair = Object.values(KINDS).map(([from, , to]) => `${from} ${to} 1`);
  assert.deepEqual(
    substitutes.map(({ from, to, numTensors }) => `${from} ${to} ${numTensors}`).toSorted(),
    perPair.toSorted(),
  );
  assert.equal(rounding.numTensors, 7);
  const file = await openGguf(path);
  try {
    for (const [site, [, , kind]] of Object.entries(KINDS)) {
      assert.equal(file.tensors.get(`blk.0.${site}.weight`)?.storage, kind);
    }
    const embedding = file.tensors.get("token_embd.weight")!;
    assert.equal(embedding.storage, "q6_k");
    assert.deepEqual(packStored(await file.read(embedding)), tensors[0]!.bytes);
  } finally {
    await file.close();
  }
  const [apart, fromBase] = [distance(await logits(path), expected), distance(await logits(model), expected)];
  assert.ok(apart < fromBase / 2, `${apart} of the adapter's logits, ${fromBase} without it`);
});

test("merging as float32 is exact and needs no substitutes", async () => {
  const path = join(root, "merged-f32.gguf");
  const { substitutes, expected } = await merge(path, "f32");
  assert.deepEqual(substitutes, []);
  assert.ok(distance(await logits(path), expected) < 1e-5);
});

test("a kind that graft only reads is refused as the type to write", () => {
  for (const kind of ["q4_k", "iq4_xs"] as const) {
    assert.ok(!WRITABLE_NAMES.includes(kind));
    assert.throws(() => chooseKind("gguf", "gguf", kind), {
      code: "usage/flag",
      message: /of type (q4_k|iq4_xs): graft can only read it, expected f32/,
    });
  }
});
