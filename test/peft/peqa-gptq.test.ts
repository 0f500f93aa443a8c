/** Folders in GPTQ's form against a plain packer of this file: opened, trained in their scales alone, and written back. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
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
import { sharePrograms } from "../passes/shared-programs.ts";
import { temporaryFolder, tinyModelParts } from "../tiny/model.ts";
import { writeSafetensors } from "../files/write-safetensors.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { GraftError } from "../../src/errors.ts";
import { chooseKind } from "../../src/export/merged/merged-kinds.ts";
import { type MergeReport, writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { type LoadedModel, loadModel, openSafetensors } from "../../src/format/by-path.ts";
import type { ModelFormat } from "../../src/format/checkpoint/checkpoint.ts";
import { gptqForm } from "../../src/format/checkpoint/codes/gptq-form.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { peqa } from "../../src/peft/methods/peqa.ts";
import { FLOAT16_VALUES, float32ToFloat16 } from "../../src/quant/codes/half.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { largestDifference } from "../reference/differences.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { assertModelTold } from "../files/told-form.ts";

const root = temporaryFolder();
const engine = sharePrograms(createEngine({ threads: 1 }));
const batch = unpacked(randomExamples([9, 7]));
const SIZES = { hidden_size: 64, intermediate_size: 128, num_attention_heads: 4, num_key_value_heads: 2 };

/** Codes along a line as words: as many as fit, or of 3 bits 32 in three words, of which two codes lie across. */
function packLine(codes: readonly number[], bits: number): number[] {
  if (bits !== 3) {
    const perWord = 32 / bits;
    return Array.from({ length: codes.length / perWord }, (_, word) => {
      let value = 0;
      for (let i = 0; i < perWord; i++) value |= codes[word * perWord + i]! << (bits * i);
      return value | 0;
    });
  }
  const words: number[] = [];
  for (let at = 0; at < codes.length; at += 32) {
    const c = codes.slice(at, at + 32);
    let [a, b, d] = [0, 0, 0];
    for (let i = 0; i < 10; i++) a |= c[i]! << (3 * i);
    a |= (c[10]! & 3) << 30;
    b |= c[10]! >> 2;
    for (let i = 0; i < 10; i++) b |= c[11 + i]! << (3 * i + 1);
    b |= (c[21]! & 1) << 31;
    d |= c[21]! >> 1;
    for (let i = 0; i < 10; i++) d |= c[22 + i]! << (3 * i + 2);
    words.push(a | 0, b | 0, d | 0);
  }
  return words;
}

/** Rows of numbers as a tensor of their type. */
function matrix(dtype: "int32" | "float16", rows: readonly (readonly number[])[]): HostTensor {
  const flat = rows.flat();
  const data = dtype === "int32" ? Int32Array.from(flat) : Uint16Array.from(flat);
  return { dtype, shape: [rows.length, rows[0]!.length], data };
}

interface Layer {
  readonly tensors: Record<string, HostTensor>;
  /** What the layer means, [out, in]. */
  readonly weight: Float32Array;
}

/** A random layer in the form, and its meaning by the formula. */
function randomLayer(
  [numRows, numColumns]: readonly [number, number],
  { bits, groupSize, version }: Form,
  random: Random,
): Layer {
  const size = groupSize === -1 ? numColumns : groupSize;
  const numGroups = numColumns / size;
  const largest = 2 ** bits - 1;
  const codes = Array.from({ length: numRows }, () =>
    Array.from({ length: numColumns }, () => random.integer(largest + 1)),
  );
  // Version 1 cannot say 0, and can say one more than the largest code.
  const zeros = Array.from({ length: numGroups }, () =>
    Array.from({ length: numRows }, () => (version === 1 ? 1 : 0) + random.integer(largest)),
  );
  const step = 2 / (largest * Math.sqrt(numColumns));
  const scales = zeros.map((row) => [
    ...float32ToFloat16(Float32Array.from(row, () => step * (1 + random.integer(50) / 100))),
  ]);
  const weight = Float32Array.from({ length: numRows * numColumns }, (_, i) => {
    const [row, column] = [Math.floor(i / numColumns), i % numColumns];
    const group = Math.floor(column / size);
    return FLOAT16_VALUES[scales[group]![row]!]! * (codes[row]![column]! - zeros[group]![row]!);
  });
  const lines = codes.map((row) => packLine(row, bits));
  const qweight = lines[0]!.map((_, word) => lines.map((line) => line[word]!));
  const stored = zeros.map((row) => row.map((zero) => zero - (version === 1 ? 1 : 0)));
  return {
    weight,
    tensors: {
      qweight: matrix("int32", qweight),
      qzeros: matrix(
        "int32",
        stored.map((row) => packLine(row, bits)),
      ),
      scales: matrix("float16", scales),
      g_idx: hostTensor(
        "int32",
        [numColumns],
        Int32Array.from({ length: numColumns }, (_, i) => Math.floor(i / size)),
      ),
    },
  };
}

interface Form {
  readonly bits: number;
  readonly groupSize: number;
  readonly version: 1 | 2;
}

interface Written {
  readonly path: string;
  /** What each quantized matrix means. */
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** Writes a tiny model; `change` may do something to a layer's tensors. */
async function writeGptq(
  name: string,
  form: Form,
  { settings = {}, isOld = false, change = () => {} }: Changes = {},
): Promise<Written> {
  const { config, tensors } = tinyModelParts({ config: SIZES });
  const random = new Random(4);
  const weights = new Map<string, Float32Array>();
  const written: Record<string, HostTensor> = {};
  for (const [key, tensor] of tensors) {
    if (!key.includes("_proj.")) {
      written[key] = hostTensor("float16", tensor.shape, float32ToFloat16(tensor.data));
      continue;
    }
    const layer = randomLayer(tensor.shape as [number, number], form, random);
    const module = key.replace(/\.weight$/, "");
    weights.set(key, layer.weight);
    for (const [part, value] of Object.entries(layer.tensors)) written[`${module}.${part}`] = value;
  }
  change(written);
  const path = join(root, name);
  mkdirSync(path);
  const quantization = {
    bits: form.bits,
    group_size: form.groupSize,
    desc_act: false,
    sym: false,
    ...(form.version === 2 ? { checkpoint_format: "gptq_v2" } : {}),
    ...settings,
  };
  const ofHalves = { ...config, torch_dtype: "float16" };
  const inConfig = { ...ofHalves, quantization_config: { quant_method: "gptq", ...quantization } };
  const write = (file: string, content: unknown): void =>
    writeFileSync(join(path, file), JSON.stringify(content));
  write("config.json", isOld ? ofHalves : inConfig);
  if (isOld) write("quantize_config.json", quantization);
  const { tokenizer, config: tokenizerConfig } = byteTokenizerFiles();
  write("tokenizer.json", tokenizer);
  write("tokenizer_config.json", tokenizerConfig);
  await writeSafetensors(join(path, "model.safetensors"), Object.entries(written));
  return { path, weights };
}

interface Changes {
  readonly settings?: object;
  /** The settings lie in a file of their own. */
  readonly isOld?: boolean;
  readonly change?: (tensors: Record<string, HostTensor>) => void;
}

async function write(
  { base, checkpoint }: LoadedModel,
  adapter: Adapter,
  output: string,
  to: ModelFormat,
): Promise<MergeReport> {
  const kind = chooseKind(checkpoint.format, to, null);
  return await writeMergedModel({ engine, base, checkpoint, adapter, path: output, to, kind });
}

const FORMS: readonly Form[] = [
  { bits: 4, groupSize: 32, version: 1 },
  { bits: 4, groupSize: -1, version: 2 },
  { bits: 3, groupSize: 32, version: 1 },
  { bits: 2, groupSize: 64, version: 2 },
  { bits: 8, groupSize: 32, version: 1 },
];

for (const form of FORMS) {
  const { bits, groupSize, version } = form;
  describe(`a folder of ${bits} bits, groups of ${groupSize}, version ${version}`, async () => {
    const name = `gptq-${bits}-${version}`;
    const { path, weights } = await writeGptq(name, form, { isOld: bits === 4 && version === 1 });
    const loaded = await openUntilEnd(path);
    const { base, checkpoint } = loaded;

    test("means what its formula says, bit for bit", async () => {
      assert.equal(checkpoint.format, "gptq");
      await assertModelTold(checkpoint, join(root, `${name}-settings`));
      assert.equal(weights.size, 14);
      for (const [key, expected] of weights) {
        assert.deepEqual((await base.values(key)).data, expected, key);
        const into = new Float32Array(expected.length / 2);
        await base.source.readInto(key, into, expected.length / 2);
        assert.deepEqual(into, expected.slice(expected.length / 2), key);
      }
    });

    test("is tuned in its scales alone, and written back with every other tensor as it is", async () => {
      const adapter = await attachTo(base, peqa);
      const groups = groupSize === -1 ? 1 : null;
      const scales = [...base.model.tensors.values()].filter(({ name: key }) => weights.has(key));
      const expected = scales.reduce(
        (sum, { shape }) => sum + shape[0]! * (groups ?? shape[1]! / groupSize),
        0,
      );
      assert.equal(adapter.numTrained, expected);
      const plain = await logitsOf(engine, base, null, batch);
      const start = await logitsOf(engine, base, adapter, batch);
      const size = Math.max(...plain.map(Math.abs));
      assert.ok(largestDifference(start, plain) <= 1e-6 * size);

      const before = await lossAndGradients(engine, base, adapter, [batch]);
      for (const { value, name: key } of adapter.parameters) {
        const gradient = before.gradients.get(key)!;
        value.data.forEach((s, i) => (value.data[i] = s * (1 - 0.01 * Math.sign(gradient[i]!))));
      }
      const { loss } = await lossAndGradients(engine, base, adapter, [batch]);
      assert.ok(loss < before.loss, `${before.loss} before, ${loss} after`);

      const output = join(root, `${name}-tuned`);
      const { rounding } = await write(loaded, adapter, output, "gptq");
      assert.ok(rounding.worstError > 0 && rounding.worstError < 2 ** -11, `rounding ${rounding.worstError}`);
      const [old, now] = await Promise.all(
        [path, output].map((folder) => openSafetensors(join(folder, "model.safetensors"))),
      );
      after(() => Promise.all([old!.close(), now!.close()]));
      assert.deepEqual([...now!.tensors.keys()].toSorted(), [...old!.tensors.keys()].toSorted());
      let numScales = 0;
      for (const key of old!.tensors.keys()) {
        const [was, is] = [await old!.read(key), await now!.read(key)];
        if (!key.endsWith(".scales")) assert.deepEqual(is, was, key);
        else {
          assert.notDeepEqual(is, was, key);
          assert.deepEqual([is.dtype, is.shape], [was.dtype, was.shape]);
          numScales++;
        }
      }
      assert.equal(numScales, 14);
      const settings = JSON.parse(readFileSync(join(output, "config.json"), "utf8")) as Record<
        string,
        object
      >;
      const { quant_method, ...own } = settings["quantization_config"] as Record<string, unknown>;
      assert.equal(quant_method, "gptq");
      assert.deepEqual(
        [own["bits"], own["group_size"], own["checkpoint_format"]],
        [bits, groupSize, version === 2 ? "gptq_v2" : undefined],
      );
      const tuned = await openUntilEnd(output);
      const apart = largestDifference(
        await logitsOf(engine, tuned.base, null, batch),
        await logitsOf(engine, base, adapter, batch),
      );
      assert.ok(apart <= 5e-3 * size, `logits are ${apart} apart`);
    });

    test("becomes a folder of our own with the same numbers, and GGUF's q4_1 where codes fit", async () => {
      const adapter = await attachTo(base, peqa);
      const own = await logitsOf(engine, base, adapter, batch);
      const size = Math.max(...own.map(Math.abs));
      const packed = join(root, `${name}-packed`);
      await write(loaded, adapter, packed, "packed");
      const { base: again } = await openUntilEnd(packed);
      for (const [key, expected] of weights) assert.deepEqual((await again.values(key)).data, expected, key);
      if (version === 2 || bits === 8) return;
      const file = join(root, `${name}.gguf`);
      await write(loaded, adapter, file, "gguf");
      const gguf = await openUntilEnd(file);
      assert.equal(gguf.checkpoint.tensors.get("model.layers.0.mlp.up_proj.weight")?.storage, "q4_1");
      const apart = largestDifference(await logitsOf(engine, gguf.base, null, batch), own);
      assert.ok(apart <= 5e-3 * size, `logits are ${apart} apart`);
    });
  });
}

describe("folders in GPTQ's form", () => {
  const form: Form = { bits: 4, groupSize: 32, version: 1 };

  test("are trained by LoRA, which goes into floats and not into codes", async () => {
    const loaded = await openUntilEnd((await writeGptq("lora", form)).path);
    const { base } = loaded;
    const adapter = await attachTo(base, lora, { rank: 2 });
    perturb(adapter, 0.05);
    const { gradients } = await lossAndGradients(engine, base, adapter, [batch]);
    assert.equal(gradients.size, 28);
    await assert.rejects(() => write(loaded, adapter, join(root, "lora-gptq"), "gptq"), {
      code: "usage/quantization",
      message: /as gptq: none of its matrices is in codes|would be in f32/,
      hint: /--to hf/,
    });
    await write(loaded, adapter, join(root, "lora-floats"), "hf");
    const { base: merged, checkpoint } = await openUntilEnd(join(root, "lora-floats"));
    assert.equal(checkpoint.format, "hf");
    const apart = largestDifference(
      await logitsOf(engine, merged, null, batch),
      await logitsOf(engine, base, adapter, batch),
    );
    assert.ok(apart < 1e-4, `logits are ${apart} apart`);
  });

  test("are made of floats by PEQA, in a form that can say a zero of 0", async () => {
    const { path } = await writeGptq("source", form);
    const source = await openUntilEnd(path);
    const first = await attachTo(source.base, peqa);
    await write(source, first, join(root, "floats"), "hf");
    const floats = await openUntilEnd(join(root, "floats"));
    const adapter = await attachTo(floats.base, peqa, { bits: 3, groupSize: 64, init: "rtn" });
    await write(floats, adapter, join(root, "made"), "gptq");
    const made = await openUntilEnd(join(root, "made"));
    assert.deepEqual(made.checkpoint.quantization, {
      quant_method: "gptq",
      bits: 3,
      group_size: 64,
      desc_act: false,
      sym: false,
      checkpoint_format: "gptq_v2",
    });
    const expected = await logitsOf(engine, floats.base, adapter, batch);
    const apart = largestDifference(await logitsOf(engine, made.base, null, batch), expected);
    assert.ok(apart <= 5e-3 * Math.max(...expected.map(Math.abs)), `logits are ${apart} apart`);
    const some = await attachTo(floats.base, peqa, { bits: 3, groupSize: 64 }, ["q_proj"]);
    await assert.rejects(() => write(floats, some, join(root, "some"), "gptq"), {
      code: "usage/quantization",
      message: /"model\.layers\.0\.self_attn\.k_proj\.weight" would be in f32, expected every projection/,
    });
  });

  test("that have matrices in floats are written with all in codes, in the form that can say a zero of 0", async () => {
    const isLeft = (key: string): boolean => key.includes("up_proj");
    const { path, weights } = await writeGptq("partly", form, {
      settings: { dynamic: { "-:.*up_proj": {} } },
      change: (tensors) => {
        for (const key of Object.keys(tensors).filter(isLeft)) delete tensors[key];
        // All above 0, so that the least code is that of 0.
        const data = Uint16Array.from({ length: 64 * 128 }, (_, i) => 0x2000 + (i % 512));
        for (const layer of [0, 1])
          tensors[`model.layers.${layer}.mlp.up_proj.weight`] = hostTensor("float16", [128, 64], data);
      },
    });
    const partly = await openUntilEnd(path);
    const options = { bits: 4, groupSize: 32, init: "rtn" };
    const adapter = await attachTo(partly.base, peqa, options);
    await write(partly, adapter, join(root, "whole"), "gptq");
    const whole = await openUntilEnd(join(root, "whole"));
    const { dynamic, checkpoint_format: version } = whole.checkpoint.quantization ?? {};
    assert.deepEqual([dynamic, version], [undefined, "gptq_v2"]);
    for (const [key, expected] of weights)
      if (!isLeft(key)) assert.deepEqual((await whole.base.values(key)).data, expected, key);
    const expected = await logitsOf(engine, partly.base, adapter, batch);
    const apart = largestDifference(await logitsOf(engine, whole.base, null, batch), expected);
    assert.ok(apart <= 5e-3 * Math.max(...expected.map(Math.abs)), `logits are ${apart} apart`);
    const some = await attachTo(partly.base, peqa, options, ["q_proj", "model.layers.0.mlp.up_proj"]);
    await assert.rejects(() => write(partly, some, join(root, "half"), "gptq"), {
      code: "usage/quantization",
      message: /"model\.layers\.1\.mlp\.up_proj\.weight" would be in f16, expected every projection/,
    });
  });

  test("are refused a zero that their version cannot say", async () => {
    const { writing } = gptqForm;
    assert.ok(writing !== "read-only");
    for (const [zero, settings, says] of [
      [0, {}, /"m\.weight" as gptq: one of its zeros is 0, expected 1 to 16 in version 1/],
      [16, { checkpoint_format: "gptq_v2" }, /one of its zeros is 16, expected 0 to 15 in version 2/],
    ] as const) {
      const planes = {
        codes: zeros("uint8", [8, 16]),
        scale: zeros("float32", [8, 1]),
        zero: hostTensor("uint8", [8, 1], new Uint8Array(8).fill(zero)),
      };
      const shape = [8, 32];
      const stored = { storage: "u4" as const, shape, groupSize: 32, planes };
      const source = { name: "m.weight", ...stored, load: () => Promise.resolve(stored) };
      const parts = new Map(writing.toTensors(source, settings));
      const { load } = parts.get("m.qzeros") as { load: () => Promise<unknown> };
      await assert.rejects(load, { code: "usage/quantization", message: says, hint: /--to packed/ });
    }
  });

  test("may have biases of zeros that the model lacks, and no others", async () => {
    const bias = (value: number) => (tensors: Record<string, HostTensor>) => {
      const data = new Uint16Array(64).fill(value);
      tensors["model.layers.0.self_attn.q_proj.bias"] = hostTensor("float16", [64], data);
    };
    const { base } = await openUntilEnd((await writeGptq("zero-bias", form, { change: bias(0) })).path);
    assert.ok((await logitsOf(engine, base, null, batch)).every(Number.isFinite));
    const { path } = await writeGptq("bias", form, { change: bias(0x3c00) });
    await assert.rejects(() => loadModel(path), /surplus model\.layers\.0\.self_attn\.q_proj\.bias/);
  });

  test("may name modules without a setting of their own", async () => {
    const settings = { dynamic: { lm_head: {}, "-:.*visual.*": {} } };
    const { checkpoint } = await openUntilEnd((await writeGptq("named", form, { settings })).path);
    assert.equal(checkpoint.format, "gptq");
  });

  const at = "model.layers.1.mlp.up_proj";
  const cases: readonly (readonly [string, Changes, RegExp])[] = [
    ["5 bits", { settings: { bits: 5 } }, /quantization with bits 5 \(not 2, 3, 4, 8\)/],
    ["marlin", { settings: { checkpoint_format: "marlin" } }, /with checkpoint_format "marlin"/],
    ["dynamic", { settings: { dynamic: { "+:.*up.*": { bits: 8 } } } }, /dynamic settings for \+:\.\*up/],
    [
      "groups in another order",
      { change: (tensors) => void ((tensors[`${at}.g_idx`]!.data as Int32Array)[40] = 0) },
      /input 40 of "model\.layers\.1\.mlp\.up_proj\.g_idx" is in group 0 \(desc_act\), expected group 1/,
    ],
    [
      // 64 inputs have two groups either way, of 32 or of 48 and 16, and without g_idx the settings alone tell.
      "a last group that is shorter",
      {
        settings: { group_size: 48 },
        change: (tensors) => {
          for (const name of Object.keys(tensors)) if (name.endsWith(".g_idx")) delete tensors[name];
        },
      },
      /\d+ inputs of "model\.layers\.0\.[a-z_.]+" in groups of 48, expected groups that divide them/,
    ],
    [
      "no zeros",
      { change: (tensors) => void delete tensors[`${at}.qzeros`] },
      /"model\.layers\.1\.mlp\.up_proj".*qzeros missing/,
    ],
    ["other bits than they say", { settings: { bits: 8 } }, /expected parts of 8 bits/],
  ];
  for (const [what, changes, says] of cases) {
    test(`with ${what} are refused`, async () => {
      const { path } = await writeGptq(`refused ${what}`, form, changes);
      await assert.rejects(
        () => loadModel(path),
        (error) => {
          assert.ok(error instanceof GraftError);
          assert.match(error.message, says);
          assert.ok(error.hint);
          return true;
        },
      );
    });
  }

  test("with a scale that is no number are refused when it is read", async () => {
    const change: Changes["change"] = (tensors) =>
      void ((tensors[`${at}.scales`]!.data as Uint16Array)[3] = 0x7c00);
    const { base } = await openUntilEnd((await writeGptq("infinite", form, { change })).path);
    await assert.rejects(() => base.values(`${at}.weight`), /one of its scales is NaN or infinite/);
  });
});
