/** Model folders of FP8, compressed-tensors and MLX: matrices as their tools wrote them, whole models of such parts, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openCheckpoint } from "../../src/format/by-path.ts";
import { widen } from "../../src/quant/codes/half.ts";
import { dequantize, type StoredTensor } from "../../src/quant/stored-tensor.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { type HostTensor, hostTensor } from "../../src/runtime/host-tensor.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { assertFormTold } from "../files/told-form.ts";
import { temporaryFolder, tinyModelParts } from "../tiny/model.ts";
import { checkCodesModel } from "./codes-model.ts";
import { type Tensors, openGoldenCodes } from "./golden-codes.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });
const { golden, floats8, partsOf, write, testRefusals } = await openGoldenCodes(root, "scaled.safetensors");

const sizeOf = ({ planes }: StoredTensor): number =>
  Object.values(planes).reduce((sum, { data }) => sum + data.byteLength, 0);

const fp8 = (block: readonly number[] | null): object => ({
  quant_method: "fp8",
  activation_scheme: "static",
  weight_block_size: block,
});
const compressed = (format: string, weights: object | null, others: object = {}): object => ({
  quant_method: "compressed-tensors",
  format,
  config_groups: { group_0: { targets: ["Linear"], weights } },
  ignore: ["lm_head", "re:.*gate"],
  ...others,
});
const ints = (bits: number, group_size: number | null = null): object => ({
  num_bits: bits,
  type: "int",
  group_size,
});
const FLOATS = { num_bits: 8, type: "float" };

for (const [name, what, quantization, storage] of [
  ["fp8_block", "FP8 in blocks", fp8([8, 32]), "f8_e4m3"],
  ["fp8_half", "FP8 in blocks with scales in 16 bits", fp8([24, 64]), "f8_e4m3"],
  ["fp8_all", "FP8 with one scale", fp8(null), "f8_e4m3"],
  ["fp8_every", "AutoFP8, of every code", { quant_method: "fp8" }, "f8_e4m3"],
  ["pack4", "compressed-tensors in 4 bits", compressed("pack-quantized", ints(4, 32)), "u4"],
  ["pack4_zeros", "compressed-tensors in 4 bits with zeros", compressed("pack-quantized", ints(4, 32)), "u4"],
  [
    "pack3",
    "compressed-tensors in 3 bits that fill no words",
    compressed("pack-quantized", ints(3, 8)),
    "u3",
  ],
  ["pack4_rows", "compressed-tensors in 4 bits by rows", compressed("pack-quantized", ints(4)), "u4"],
  ["pack8", "compressed-tensors in words of 8 bits", compressed("pack-quantized", ints(8)), "u8"],
  ["int8", "compressed-tensors in bytes", compressed("int-quantized", ints(8)), "u8"],
  ["int8_zeros", "compressed-tensors in bytes with zeros", compressed("int-quantized", ints(8)), "u8"],
  ["int8_all", "compressed-tensors in bytes with one scale", compressed("int-quantized", ints(8)), "u8"],
  ["float_rows", "compressed-tensors in floats by rows", compressed("float-quantized", FLOATS), "f8_e4m3"],
  ["float_all", "compressed-tensors in floats", compressed("float-quantized", FLOATS), "f8_e4m3"],
  [
    "float_block",
    "compressed-tensors in floats by blocks that are cut off",
    compressed("float-quantized", { ...FLOATS, block_structure: [16, 48] }),
    "f8_e4m3",
  ],
] as const) {
  test(`a matrix of ${what} has the values that the tool gives it`, async () => {
    const idle = hostTensor("float32", [], new Float32Array(1));
    const beside = { [`${name}.activation_scale`]: idle, [`${name}.input_scale`]: idle };
    const checkpoint = await openCheckpoint(
      await write(name, quantization, { ...partsOf(name), ...beside, "self_attn.k_scale": idle }),
    );
    const expected = golden[`${name}.expected`]!;
    const stored = await checkpoint.read(`${name}.weight`);
    const info = checkpoint.tensors.get(`${name}.weight`)!;
    await checkpoint.close();
    assert.deepEqual([...checkpoint.tensors.keys()], [`${name}.weight`]);
    assert.deepEqual([info.shape, info.storage, stored.storage], [expected.shape, storage, storage]);
    assert.equal(checkpoint.format, "codes");
    assert.equal(info.sizeBytes, sizeOf(stored));
    await assertFormTold(checkpoint);
    assert.deepEqual(
      [...dequantize(stored)].map((value) => value + 0),
      Array.from(expected.data as Float32Array, (value) => value + 0),
    );
  });
}

test("a model in FP8 computes by its values, takes an adapter, and is merged as floats", async () => {
  const sizes = { hidden_size: 64, intermediate_size: 128, num_attention_heads: 4, num_key_value_heads: 2 };
  const { config, tensors } = tinyModelParts({ config: sizes });
  const written: Tensors = {};
  const random = new Random(3);
  for (const [name, tensor] of tensors) {
    if (!name.includes("_proj.")) {
      written[name] = tensor;
      continue;
    }
    const [numRows = 0, numColumns = 0] = tensor.shape;
    const codes = tensor.data.map(
      () => Math.floor(random.uniform() * 126) + 128 * Math.round(random.uniform()),
    );
    const scaleShape = [Math.ceil(numRows / 48), Math.ceil(numColumns / 48)];
    const scales = new Float32Array(scaleShape[0]! * scaleShape[1]!).map(() => random.uniform() * 1e-3);
    written[name] = hostTensor("uint8", tensor.shape, Uint8Array.from(codes));
    written[`${name}_scale_inv`] = hostTensor("float32", scaleShape, scales);
    floats8.add(name);
  }
  const inCodes = await openUntilEnd(await write("whole", fp8([48, 48]), written, config));
  const floats = await Promise.all(
    [...tensors].map(async ([name, { shape }]): Promise<[string, HostTensor<"float32">]> => {
      const values = dequantize(await inCodes.checkpoint.read(name));
      return [name, hostTensor("float32", shape, values)];
    }),
  );
  await checkCodesModel(engine, inCodes, { config, floats }, root);
});

for (const [name, what, quantization, storage] of [
  ["mlx2", "2 bits", { group_size: 64, bits: 2 }, "m2"],
  ["mlx3_half", "3 bits", { group_size: 32, bits: 3 }, "m3"],
  ["mlx5", "5 bits", { group_size: 32, bits: 5 }, "m8"],
  ["mlx6", "6 bits of its own", { group_size: 32, bits: 4, mlx6: { group_size: 64, bits: 6 } }, "m8"],
  ["mlx8", "8 bits", { group_size: 64, bits: 8, mlx8: true }, "m8"],
  ["mlx8_half", "8 bits and float16", { group_size: 32, bits: 8, mode: "affine" }, "m8"],
] as const) {
  test(`a matrix of MLX in ${what} has the values that the tool gives it`, async () => {
    const checkpoint = await openCheckpoint(await write(name, quantization, partsOf(name)));
    const expected = golden[`${name}.expected`]!.data as Float32Array;
    const stored = await checkpoint.read(`${name}.weight`);
    const info = checkpoint.tensors.get(`${name}.weight`)!;
    await checkpoint.close();
    assert.deepEqual([info.storage, stored.storage], [storage, storage]);
    assert.equal(info.sizeBytes, sizeOf(stored));
    await assertFormTold(checkpoint);
    // A product and a sum, which MLX rounds one after the other.
    const minima = widen(stored.planes["min"]!).data;
    const largest = minima.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const [i, value] of dequantize(stored).entries()) {
      assert.ok(Math.abs(value - expected[i]!) <= 2e-7 * largest, `${i}: ${value}, expected ${expected[i]!}`);
    }
  });
}

const without = (name: string, part: string): Tensors => {
  const { [`${name}.${part}`]: _left, ...parts } = partsOf(name);
  return parts;
};
const zeros = (shape: readonly number[]): HostTensor =>
  hostTensor("float32", shape, new Float32Array(shape.reduce((product, size) => product * size, 1)));
const PACK = compressed("pack-quantized", ints(4));
testRefusals([
  [
    "FP8 without scales",
    "format/tensor",
    fp8([8, 32]),
    () => without("fp8_block", "weight_scale_inv"),
    /F8_E4M3, expected F32/,
  ],
  [
    "FP8 with blocks of another size",
    "format/tensor",
    fp8([16, 32]),
    () => partsOf("fp8_block"),
    /scale F32 \[3, 4\], expected F8_E4M3.* or block of \[16, 32\]/,
  ],
  [
    "FP8 with scales of another shape",
    "format/tensor",
    fp8(null),
    () => ({ ...partsOf("fp8_all"), "fp8_all.weight_scale_inv": zeros([7, 1]) }),
    /scale F32 \[7, 1\]/,
  ],
  [
    "FP8 with scales without a weight",
    "format/tensor",
    fp8(null),
    () => without("fp8_all", "weight"),
    /"fp8_all\.weight" .* missing/,
  ],
  [
    "FP8 with blocks of no size",
    "usage/quantization",
    fp8([0, 32]),
    () => partsOf("fp8_block"),
    /weight_block_size \[0,32\]/,
  ],
  [
    "FP8 with experts in 4 bits",
    "usage/quantization",
    { ...fp8([8, 32]), expert_dtype: "fp4" },
    () => partsOf("fp8_block"),
    /expert_dtype fp4/,
  ],
  [
    "floats of 8 bits without settings",
    "format/tensor",
    {},
    () => partsOf("fp8_all"),
    /F8_E4M3, expected F32, F16 or BF16/,
  ],
  [
    "sparse weights",
    "usage/quantization",
    compressed("pack-quantized", ints(4), { sparsity_config: { format: "sparse-24-bitmask" } }),
    () => partsOf("pack4"),
    /sparse-24-bitmask/,
  ],
  [
    "NVFP4",
    "usage/quantization",
    compressed("nvfp4-pack-quantized", { num_bits: 4, type: "float" }),
    () => partsOf("pack4"),
    /format nvfp4-pack-quantized, float weights of 4 bits/,
  ],
  [
    "only activations",
    "usage/quantization",
    compressed("int-quantized", null),
    () => partsOf("int8"),
    /only activations/,
  ],
  [
    "rotated weights",
    "usage/quantization",
    compressed("pack-quantized", ints(4), { transform_config: { config_groups: { u: {} } } }),
    () => partsOf("pack4"),
    /transform_config/,
  ],
  [
    "words of 5 bits",
    "usage/quantization",
    compressed("pack-quantized", ints(5)),
    () => partsOf("pack4"),
    /int weights of 5 bits/,
  ],
  [
    "words of other bits than the settings say",
    "format/tensor",
    compressed("pack-quantized", ints(8)),
    () => partsOf("pack4"),
    /weight_packed I32 \[24, 16\], weight_shape \[24, 128\]/,
  ],
  [
    "words without a shape",
    "format/tensor",
    PACK,
    () => without("pack4", "weight_shape"),
    /weight_shape missing/,
  ],
  [
    "words without scales",
    "format/tensor",
    PACK,
    () => ({ ...without("pack4", "weight_scale"), "pack4.weight_scale": zeros([24, 3]) }),
    /weight_scale F32 \[24, 3\]/,
  ],
  [
    "zeros of another shape",
    "format/tensor",
    PACK,
    () => ({
      ...partsOf("pack4"),
      "pack4.weight_zero_point": hostTensor("int32", [3, 1], new Int32Array(3)),
    }),
    /weight_zero_point I32 \[3, 1\]/,
  ],
  [
    "columns in another order",
    "usage/quantization",
    PACK,
    () => ({
      ...partsOf("pack4"),
      "pack4.weight_g_idx": hostTensor(
        "int32",
        [128],
        Int32Array.from({ length: 128 }, (_, i) => i % 4),
      ),
    }),
    /input 1 of "pack4\.weight_g_idx" is in group 1/,
  ],
]);
