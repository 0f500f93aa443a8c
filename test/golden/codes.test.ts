/** Model folders in forms of codes that graft only reads: matrices as their tools wrote them, and whole models of such parts. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openCheckpoint } from "../../src/format/by-path.ts";
import { bytesOf, type DataOf, DTYPES, joinBytes } from "../../src/graph/dtype.ts";
import { dequantize, permuteRows, quantizeTo } from "../../src/quant/stored-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { type HostTensor, hostTensor } from "../../src/runtime/host-tensor.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { assertFormTold } from "../files/told-form.ts";
import { temporaryFolder, tinyModelParts } from "../tiny/model.ts";
import { checkCodesModel } from "./codes-model.ts";
import { type Tensors, openGoldenCodes } from "./golden-codes.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });
const { golden, partsOf, write, testRefusals } = await openGoldenCodes(root, "codes.safetensors");
const BNB = { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" };
const AWQ = { quant_method: "awq", bits: 4, group_size: 32, version: "gemm", zero_point: true };

for (const [name, what, quantization, storage] of [
  ["plain", "bitsandbytes in 4 bits", BNB, "nf4"],
  ["nested", "bitsandbytes in 4 bits with quantized scales", BNB, "nf4"],
  ["eight", "bitsandbytes in 8 bits", { load_in_8bit: true }, "u8"],
  ["awq", "AWQ", AWQ, "u4"],
  ["mlx", "MLX, in groups of 64", { group_size: 64, bits: 4 }, "q4_1"],
  ["mlx_half", "MLX, in groups of 32 and float16", { group_size: 32, bits: 4, mode: "affine" }, "q4_1"],
] as const) {
  test(`a matrix of ${what} has the values that the tool gives it`, async () => {
    const checkpoint = await openCheckpoint(await write(name, quantization, partsOf(name)));
    const expected = golden[`${name}.expected`]!;
    const stored = await checkpoint.read(`${name}.weight`);
    const info = checkpoint.tensors.get(`${name}.weight`)!;
    await checkpoint.close();
    assert.deepEqual([...checkpoint.tensors.keys()], [`${name}.weight`]);
    assert.deepEqual([info.shape, info.storage, stored.storage], [expected.shape, storage, storage]);
    assert.equal(checkpoint.format, "codes");
    await assertFormTold(checkpoint);
    const values = dequantize(stored);
    for (const [i, value] of values.entries()) {
      const wanted = expected.data[i] as number;
      assert.ok(Math.abs(value - wanted) <= 2e-7 * Math.abs(wanted), `${i}: ${value}, expected ${wanted}`);
    }
  });
}

for (const inLayer of ["mlp.switch_mlp", "mlp.experts.switch_glu"]) {
  test(`experts that MLX keeps in one tensor are matrices of their own, with settings of their stack: ${inLayer}`, async () => {
    const turned = (part: HostTensor): HostTensor => {
      const order = Int32Array.from({ length: part.shape[0]! }, (_, row) => part.shape[0]! - 1 - row);
      return permuteRows({ storage: "f32", shape: part.shape, planes: { part } }, order).planes["part"]!;
    };
    const stacked = (part: HostTensor): HostTensor => {
      const { buffer } = joinBytes([part, turned(part)].map(({ data }) => bytesOf(data)));
      const { array } = DTYPES[part.dtype];
      return hostTensor(part.dtype, [2, ...part.shape], new array(buffer) as typeof part.data);
    };
    const stack = `model.layers.0.${inLayer}.up_proj`;
    const tensors = Object.fromEntries(
      Object.entries(partsOf("mlx")).map(([name, part]) => [name.replace("mlx", stack), stacked(part)]),
    );
    const settings = { group_size: 32, bits: 8, [stack]: { group_size: 64, bits: 4 } };
    const checkpoint = await openCheckpoint(await write(inLayer, settings, tensors));
    const names = [0, 1].map((expert) => `model.layers.0.mlp.experts.${expert}.up_proj.weight`);
    const values: DataOf<"float32">[] = [];
    for (const name of names) values.push(dequantize(await checkpoint.read(name)));
    await checkpoint.close();
    assert.deepEqual([...checkpoint.tensors.keys()], names);
    await assertFormTold(checkpoint);
    const { shape, data } = golden["mlx.expected"]!;
    for (const [i, value] of values[0]!.entries()) {
      const wanted = data[i] as number;
      assert.ok(Math.abs(value - wanted) <= 2e-7 * Math.abs(wanted), `${i}: ${value}, expected ${wanted}`);
    }
    assert.deepEqual(values[1], turned(hostTensor("float32", shape, values[0]!)).data);
  });
}

test("MLX's settings are found under its own key, and are no part of the configuration", async () => {
  const path = await write("mlx-key", {}, partsOf("mlx"));
  writeFileSync(
    join(path, "config.json"),
    JSON.stringify({ model_type: "llama", quantization: { group_size: 64, bits: 4 } }),
  );
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  assert.deepEqual(checkpoint.config, { model_type: "llama" });
  assert.equal(checkpoint.tensors.get("mlx.weight")?.storage, "q4_1");
});

test("a model in floats whose settings say that it is to be quantized on loading is read as it is", async () => {
  const { config, tensors } = tinyModelParts();
  const checkpoint = await openCheckpoint(await write("floats", BNB, Object.fromEntries(tensors), config));
  await checkpoint.close();
  assert.equal(checkpoint.format, "hf");
  assert.equal(checkpoint.config["quantization_config"], undefined);
});

/** Parts in 4 bits of a matrix, by its name, as bitsandbytes lays them out. */
function fourBits(name: string, { shape, data }: HostTensor<"float32">): Tensors {
  const { codes, scale } = quantizeTo("nf4", data, shape).planes;
  const [rows = 0, columns = 0] = shape;
  const state = new TextEncoder().encode(JSON.stringify({ quant_type: "nf4", blocksize: 64, shape }));
  return {
    [name]: hostTensor(
      "uint8",
      [(rows * columns) / 2, 1],
      (codes!.data as Uint8Array<ArrayBuffer>).map((pair) => (pair >> 4) | (pair << 4)),
    ),
    [`${name}.absmax`]: { ...scale!, shape: [scale!.data.length] },
    [`${name}.quant_map`]: golden["plain.weight.quant_map"]!,
    [`${name}.quant_state.bitsandbytes__nf4`]: hostTensor("uint8", [state.length], state),
  };
}

test("a model in 4 bits computes by its values, takes an adapter, and is merged as floats", async () => {
  const sizes = { hidden_size: 64, intermediate_size: 128, num_attention_heads: 4, num_key_value_heads: 2 };
  const { config, tensors } = tinyModelParts({ config: sizes });
  const written: Tensors = {};
  const floats: [string, HostTensor<"float32">][] = [];
  for (const [name, tensor] of tensors) {
    const isCodes = name.includes("_proj.");
    Object.assign(written, isCodes ? fourBits(name, tensor) : { [name]: tensor });
    const data = isCodes ? dequantize(quantizeTo("nf4", tensor.data, tensor.shape)) : tensor.data;
    floats.push([name, hostTensor("float32", tensor.shape, data)]);
  }
  const inCodes = await openUntilEnd(await write("whole", BNB, written, config));
  await checkCodesModel(engine, inCodes, { config, floats }, root);
});

const text = (value: string): HostTensor => {
  const bytes = new TextEncoder().encode(value);
  return hostTensor("uint8", [bytes.length], bytes);
};
const state = "plain.weight.quant_state.bitsandbytes__nf4";
testRefusals([
  [
    "codes of fp4",
    "usage/quantization",
    BNB,
    () => {
      const { [state]: nf4, ...parts } = partsOf("plain");
      return { ...parts, "plain.weight.quant_state.bitsandbytes__fp4": nf4! };
    },
    /"plain\.weight" \[24, 128\] in fp4 with blocks of 64, expected nf4/,
  ],
  [
    "blocks of another size",
    "usage/quantization",
    BNB,
    () => ({ ...partsOf("plain"), [state]: text('{"blocksize":128,"shape":[24,128]}') }),
    /blocks of 128/,
  ],
  [
    "rows that blocks do not fill",
    "usage/quantization",
    BNB,
    () => ({ ...partsOf("plain"), [state]: text('{"blocksize":64,"shape":[32,96]}') }),
    /\[32, 96\]/,
  ],
  [
    "a state that is no JSON",
    "format/tensor",
    BNB,
    () => ({ ...partsOf("plain"), [state]: text("{") }),
    /no state of a matrix/,
  ],
  [
    "a shape of another matrix",
    "format/tensor",
    BNB,
    () => ({ ...partsOf("plain"), [state]: text('{"blocksize":64,"shape":[24,64]}') }),
    /"plain\.weight" .* U8 \[1536, 1\], expected 768 of uint8/,
  ],
  [
    "scales that are missing",
    "format/tensor",
    BNB,
    () => {
      const { "plain.weight.absmax": _left, ...parts } = partsOf("plain");
      return parts;
    },
    /"plain\.weight\.absmax" .* missing, expected 48 of float32/,
  ],
  [
    "values of codes that are not those of nf4",
    "format/tensor",
    BNB,
    () => ({
      ...partsOf("plain"),
      "plain.weight.quant_map": hostTensor("float32", [16], new Float32Array(16)),
    }),
    /quant_map.* other values/,
  ],
  [
    "8 bits in the layout of a kernel",
    "usage/quantization",
    BNB,
    () => ({
      ...partsOf("eight"),
      "eight.weight_format": hostTensor("uint8", [1], Uint8Array.of(2)),
    }),
    /layout of one kernel/,
  ],
  ["AWQ of another kernel", "usage/quantization", { ...AWQ, version: "gemv" }, () => partsOf("awq"), /gemv/],
  ["AWQ in 3 bits", "usage/quantization", { ...AWQ, bits: 3 }, () => partsOf("awq"), /bits 3/],
  ["MLX in 7 bits", "usage/quantization", { group_size: 64, bits: 7 }, () => partsOf("mlx"), /bits 7/],
  [
    "MLX with bits that are not read for some layers",
    "usage/quantization",
    { group_size: 64, bits: 4, mlx: { group_size: 64, bits: 7 } },
    () => partsOf("mlx"),
    /of "mlx" with bits 7/,
  ],
  [
    "MLX in a floating-point mode",
    "usage/quantization",
    { group_size: 32, bits: 4, mode: "mxfp4" },
    () => partsOf("mlx"),
    /mode mxfp4/,
  ],
  [
    "MLX with groups of another size than its settings say",
    "format/tensor",
    { group_size: 32, bits: 4 },
    () => partsOf("mlx"),
    /scales BF16 \[24, 2\].*inputs \/ 32/,
  ],
  [
    "MLX with scales in float32",
    "usage/quantization",
    { group_size: 64, bits: 4 },
    () => ({ ...partsOf("mlx"), "mlx.scales": hostTensor("float32", [24, 2], new Float32Array(48)) }),
    /scales of "mlx" in F32, expected F16 or BF16, as mlx_lm\.convert --dtype/,
  ],
  [
    "AWQ whose zeros are missing",
    "format/tensor",
    AWQ,
    () => {
      const { "awq.qzeros": _left, ...parts } = partsOf("awq");
      return parts;
    },
    /qzeros missing/,
  ],
]);
