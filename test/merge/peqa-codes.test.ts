/** PEQA on floats, written as it is: its own codes in GGUF's q4_1 and in a folder that stands for the base of floats. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import {
  attachTo,
  logitsOf,
  lossAndGradients,
  perturb,
  randomExamples,
  unpacked,
} from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { frozenOf, valuesOf } from "../passes/trained-values.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { UsageError } from "../../src/errors.ts";
import { chooseKind } from "../../src/export/merged/merged-kinds.ts";
import { type MergeReport, writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { type LoadedModel, openGguf, readAdapter } from "../../src/format/by-path.ts";
import type { ModelFormat } from "../../src/format/checkpoint/checkpoint.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { peqa } from "../../src/peft/methods/peqa.ts";
import type { StorageName } from "../../src/quant/storages.ts";
import { FLOAT16_VALUES } from "../../src/quant/codes/half.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { largestDifference } from "../reference/differences.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const root = temporaryFolder();
const engine = sharePrograms(createEngine({ threads: 1 }));
const batch = unpacked(randomExamples([9, 7]));
const config = { hidden_size: 64, intermediate_size: 128, num_attention_heads: 4, num_key_value_heads: 2 };
const path = await writeTinyModel(join(root, "floats"), { config });
const floats = await openUntilEnd(path);

/** PEQA with scales that were moved by some hundredths. */
async function tuned({ base }: LoadedModel, options: object = {}): Promise<Adapter> {
  const adapter = await attachTo(base, peqa, options);
  for (const { value } of adapter.parameters) {
    value.data.forEach((scale, i) => (value.data[i] = scale * (1 + ((i % 7) - 3) / 100)));
  }
  return adapter;
}

async function write(
  { base, checkpoint }: LoadedModel,
  adapter: Adapter,
  output: string,
  to: ModelFormat,
  type: StorageName | null = null,
): Promise<MergeReport> {
  const kind = chooseKind(checkpoint.format, to, type);
  return await writeMergedModel({ engine, base, checkpoint, adapter, path: output, to, kind });
}

/** Codes of one row, bit by bit: the lowest bit of each byte first. */
function codesOfRow(bytes: Uint8Array, bits: number, numColumns: number): number[] {
  const bitAt = (i: number): number => (bytes[i >> 3]! >> (i & 7)) & 1;
  return Array.from({ length: numColumns }, (_, column) => {
    let code = 0;
    for (let bit = 0; bit < bits; bit++) code |= bitAt(column * bits + bit) << bit;
    return code;
  });
}

/** A row of blocks of q4_1 as the format has it: d, m, and 16 bytes with elements i and 16 + i. */
function blocksOfRow(raw: Buffer): { d: number; m: number; codes: number[] }[] {
  return Array.from({ length: raw.length / 20 }, (_, block) => {
    const [d, m] = [0, 2].map((at) => FLOAT16_VALUES[raw.readUInt16LE(block * 20 + at)]!);
    const pairs = [...raw.subarray(block * 20 + 4, block * 20 + 20)];
    return { d: d!, m: m!, codes: [...pairs.map((pair) => pair & 15), ...pairs.map((pair) => pair >> 4)] };
  });
}

for (const bits of [2, 3, 4]) {
  for (const groupSize of [0, 32, 64]) {
    test(`${bits} bits in ${groupSize ? `groups of ${groupSize}` : "rows"} are written as q4_1: the codes as they are, d = s and m = -sz to 2^-11`, async () => {
      const adapter = await tuned(floats, { bits, groupSize });
      const output = join(root, `${bits}-${groupSize}.gguf`);
      const { rounding, numChanged } = await write(floats, adapter, output, "gguf");
      assert.equal(numChanged, 14);
      assert.ok(rounding.worstError < 2 ** -10, `rounding of ${rounding.worstError}`);
      const file = await openGguf(output);
      after(() => file.close());
      assert.equal(file.metadata["general.file_type"], 3);
      const raw = readFileSync(output);
      let numBlocks = 0;
      // Rows of queries and keys lie in another order.
      for (const [site, name] of [
        ["mlp.down_proj", "ffn_down"],
        ["self_attn.v_proj", "attn_v"],
      ] as const) {
        const { offset, sizeBytes, shape } = file.tensors.get(`blk.0.${name}.weight`)!;
        const [numRows, numColumns] = shape as [number, number];
        const rowBytes = sizeBytes / numRows;
        const at = `model.layers.0.${site}`;
        const [codes, zeros] = ["codes", "zero"].map((part) => frozenOf(adapter).get(`${at}.peqa_${part}`)!);
        const scales = adapter.parameters.find(({ name: own }) => own.includes(at))!.value;
        const rowGroups = scales.shape[1]!;
        for (let row = 0; row < numRows; row++) {
          const width = codes!.shape[1]!;
          const packed = codes!.data.subarray(row * width, (row + 1) * width) as Uint8Array;
          const expected = codesOfRow(packed, bits, numColumns);
          const blocks = blocksOfRow(raw.subarray(offset + row * rowBytes, offset + (row + 1) * rowBytes));
          assert.deepEqual(
            blocks.flatMap((block) => block.codes),
            expected,
          );
          for (const [block, { d, m }] of blocks.entries()) {
            const group = row * rowGroups + Math.floor((block * 32 * rowGroups) / numColumns);
            const [s, z] = [scales.data[group]!, Number(zeros!.data[group])];
            assert.ok(Math.abs(d - s) <= s * 2 ** -11, `d ${d}, s ${s}`);
            assert.ok(Math.abs(m + s * z) <= s * z * 2 ** -11, `m ${m}, sz ${s * z}`);
            numBlocks++;
          }
        }
      }
      assert.ok(numBlocks >= 64 * 4);
      const { base } = await openUntilEnd(output);
      const own = await logitsOf(engine, floats.base, adapter, batch);
      const apart = largestDifference(await logitsOf(engine, base, null, batch), own);
      assert.ok(apart <= 0.01 * Math.max(...own.map(Math.abs)), `logits are ${apart} apart`);
    });
  }
}

test("a type that is asked for is exact where it holds the codes, and another quantizes again", async () => {
  const adapter = await tuned(floats, { bits: 3, groupSize: 32 });
  const same = await write(floats, adapter, join(root, "asked.gguf"), "gguf", "q4_1");
  const other = await write(floats, adapter, join(root, "other.gguf"), "gguf", "q4_0");
  // The embedding, in q8_0, is rounded in both.
  assert.ok(same.rounding.meanError < 2e-3, `q4_1: ${same.rounding.meanError}`);
  assert.ok(other.rounding.meanError > 0.02, `q4_0: ${other.rounding.meanError}`);
  const { checkpoint } = await openUntilEnd(join(root, "asked.gguf"));
  assert.equal(checkpoint.tensors.get("model.layers.0.mlp.down_proj.weight")?.storage, "q4_1");
});

test("groups that blocks of 32 lie across are written in floats, and refused nowhere", async () => {
  const adapter = await tuned(floats, { bits: 3, groupSize: 16 });
  const output = join(root, "groups-of-16.gguf");
  await write(floats, adapter, output, "gguf");
  const { checkpoint } = await openUntilEnd(output);
  assert.equal(checkpoint.tensors.get("model.layers.0.mlp.down_proj.weight")?.storage, "f16");
});

test("scales that training took to 0 and below it are written as any other", async () => {
  const adapter = await tuned(floats, { bits: 4, groupSize: 32 });
  for (const { value } of adapter.parameters) {
    value.data.forEach((scale, i) => (value.data[i] = [scale, scale, -scale, 0][i % 4]!));
  }
  const own = await logitsOf(engine, floats.base, adapter, batch);
  const size = Math.max(...own.map(Math.abs));
  for (const [to, name, apart] of [
    ["packed", "signs", 0],
    ["gguf", "signs.gguf", 0.01 * size],
  ] as const) {
    await write(floats, adapter, join(root, name), to);
    const { base } = await openUntilEnd(join(root, name));
    const found = largestDifference(await logitsOf(engine, base, null, batch), own);
    assert.ok(found <= apart, `${to}: logits of ${size} are ${found} apart`);
  }
});

for (const [bits, groupSize] of [
  [4, 0],
  [3, 16],
  [2, 64],
] as const) {
  describe(`a packed folder of ${bits} bits, groups of ${groupSize}`, async () => {
    const adapter = await tuned(floats, { bits, groupSize });
    const own = await logitsOf(engine, floats.base, adapter, batch);
    const output = join(root, `packed-${bits}`);
    const report = await write(floats, adapter, output, "packed");
    const packed = await openUntilEnd(output);

    test("computes bit for bit what was trained, in so many bits", async () => {
      assert.equal(packed.checkpoint.format, "packed");
      assert.equal(report.rounding.numTensors, 0);
      assert.deepEqual(await logitsOf(engine, packed.base, null, batch), own);
      const sizes = [...packed.checkpoint.tensors.values()].filter(({ name }) => name.includes("_proj"));
      assert.equal(sizes.length, 14);
      for (const { shape, storage, sizeBytes } of sizes) {
        assert.equal(storage, `u${bits}`);
        const numGroups = shape[0]! * (groupSize ? shape[1]! / groupSize : 1);
        assert.equal(sizeBytes, (shape[0]! * shape[1]! * bits) / 8 + 5 * numGroups);
      }
      const text = readFileSync(join(output, "config.json"), "utf8");
      assert.deepEqual((JSON.parse(text) as Record<string, unknown>)["quantization_config"], {
        quant_method: "graft",
      });
    });

    test("takes the adapters that were trained on the floats, and no others", async () => {
      const folder = join(root, `adapter-${bits}`);
      await saveAdapter(folder, adapter, floats);
      const { adapter: read } = await readAdapter(folder, packed.base);
      assert.deepEqual(valuesOf(read), valuesOf(adapter));
      assert.deepEqual(await logitsOf(engine, packed.base, read, batch), own);
      // With a factor a row nothing is taken of the base beside its projections.
      const rows = await attachTo(floats.base, peqa, { bits, groupSize, scales: "row" });
      perturb(rows, 0.02);
      await saveAdapter(`${folder}-rows`, rows, floats);
      const { adapter: readRows } = await readAdapter(`${folder}-rows`, packed.base);
      assert.deepEqual(valuesOf(readRows), valuesOf(rows));
      await assert.rejects(() => attachTo(packed.base, peqa, { bits: bits === 2 ? 3 : 2 }), {
        code: "usage/quantization",
        message: new RegExp(`kept as u${bits}`),
      });
    });

    test("is trained by PEQA and by LoRA, and written again: codes as they are, other matrices in floats", async () => {
      const again = await attachTo(packed.base, peqa);
      assert.deepEqual(await logitsOf(engine, packed.base, again, batch), own);
      const { gradients } = await lossAndGradients(engine, packed.base, again, [batch]);
      for (const { value, name } of again.parameters) {
        const gradient = gradients.get(name)!;
        assert.ok(gradient.some((slope) => slope !== 0));
        value.data.forEach((scale, i) => (value.data[i] = scale - 1e-3 * Math.sign(gradient[i]!) * scale));
      }
      await write(packed, again, `${output}-again`, "packed");
      const twice = await openUntilEnd(`${output}-again`);
      assert.deepEqual(
        await logitsOf(engine, twice.base, null, batch),
        await logitsOf(engine, packed.base, again, batch),
      );
      for (const name of packed.checkpoint.tensors.keys()) {
        const [before, now] = [await packed.checkpoint.read(name), await twice.checkpoint.read(name)];
        for (const plane of ["codes", "zero"])
          assert.deepEqual(now.planes[plane], before.planes[plane], name);
      }

      const other = await attachTo(packed.base, lora, { rank: 2 }, ["q_proj"]);
      perturb(other, 0.1);
      const expected = await logitsOf(engine, packed.base, other, batch);
      const { substitutes } = await write(packed, other, `${output}-lora`, "packed");
      assert.deepEqual(substitutes, [{ from: `u${bits}`, to: "f32", numTensors: 2 }]);
      const mixed = await openUntilEnd(`${output}-lora`);
      assert.ok(largestDifference(await logitsOf(engine, mixed.base, null, batch), expected) < 5e-5);
      await write(packed, other, `${output}-floats`, "hf");
      const dense = await openUntilEnd(`${output}-floats`);
      assert.equal(dense.checkpoint.format, "hf");
      assert.ok(largestDifference(await logitsOf(engine, dense.base, null, batch), expected) < 5e-5);
    });
  });
}

test("a folder of codes is refused where nothing would be in codes", async () => {
  const adapter = await attachTo(floats.base, lora, { rank: 2 });
  await assert.rejects(
    () => write(floats, adapter, join(root, "none"), "packed"),
    (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /as packed: none of its matrices is in codes/);
      assert.ok(error.hint);
      return true;
    },
  );
});
