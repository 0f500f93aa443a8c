/**
 * @file Every arithmetic of the list, and two of a test's own: operands, products, gradients, training and generating.
 *
 * What an arithmetic makes of a weight may differ from the stored one; so whole models are held against the same model in
 * float32 whose weights are those that the arithmetic computes with.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Generator } from "../../src/engine/generation/generator.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import type { DataOf } from "../../src/graph/dtype.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { add } from "../../src/graph/ops/pointwise/elementwise.ts";
import { cast } from "../../src/graph/ops/shapes/cast.ts";
import { matmul } from "../../src/graph/ops/products/matmul.ts";
import { transpose } from "../../src/graph/ops/shapes/transpose.ts";
import { numElements } from "../../src/graph/shape.ts";
import { BaseModel } from "../../src/models/base/base-model.ts";
import type { Batch } from "../../src/data/batches/batch.ts";
import { factsOf } from "../../src/data/batches/pass-facts.ts";
import { openModel } from "../../src/models/families.ts";
import type { RawConfig } from "../../src/models/family.ts";
import type { Compute, Matrix, Product, SmoothingRule } from "../../src/nn/compute.ts";
import { COMPUTES } from "../../src/nn/computes.ts";
import { f32 } from "../../src/nn/computes/f32.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { dora } from "../../src/peft/methods/dora.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { float32ToBfloat16, widenBfloat16 } from "../../src/quant/codes/half.ts";
import { type StoredTensor, dequantize, quantizeTo } from "../../src/quant/stored-tensor.ts";
import { type StorageName, STORAGES } from "../../src/quant/storages.ts";
import { Random } from "../../src/random.ts";
import { Session, type SessionOptions } from "../../src/run/session.ts";
import { measureSmoothing } from "../../src/run/smoothing.ts";
import type { Residency } from "../../src/run/weights/weights.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { memorySource } from "../tiny/memory-source.ts";
import {
  attachTo,
  examplesFor,
  logitsOf,
  lossAndGradients,
  perturb,
  unpacked,
  withTensors,
} from "../passes/model-passes.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { largestDifference } from "../reference/differences.ts";
import { tinyModelParts } from "../tiny/model.ts";
import { inTurn } from "../matrix/sampled.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));

/** Weights as a bfloat16 upper half and what is lacking of it: exact, and of two operands of unlike types. */
function halves(binding: "fed" | "bound", smoothing?: SmoothingRule): Compute {
  const dense = (values: Readonly<Record<string, Value>>): Value =>
    add(cast(values[".high"]!, "float32"), values[".low"]!);
  return {
    name: `halves-${binding}${smoothing ? "-smoothed" : ""}`,
    summary: "of this test",
    ...(smoothing ? { smoothing } : {}),
    product: ({ inFeatures, outFeatures, storedTransposed }): Product => {
      const shape = storedTransposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
      const operands = [
        { suffix: ".high", dtype: "bfloat16", shape },
        { suffix: ".low", dtype: "float32", shape },
      ] as const;
      return {
        operands,
        binding,
        prepare: async (reader, memory) => {
          const [high, low] = [memory(operands[0]), memory(operands[1])];
          const values = low.data as DataOf<"float32">;
          await reader.readInto(values);
          const factors = reader.smoothing()?.data;
          const columnOf = (i: number): number =>
            storedTransposed ? Math.floor(i / outFeatures) : i % inFeatures;
          if (factors) values.forEach((value, i) => (values[i] = value / factors[columnOf(i)]!));
          const bits = float32ToBfloat16(values);
          (high.data as DataOf<"bfloat16">).set(bits);
          const upper = new Float32Array(bits.length);
          widenBfloat16(bits, upper);
          for (let i = 0; i < upper.length; i++) values[i]! -= upper[i]!;
          return { ".high": high, ".low": low };
        },
        project: (x, values) => matmul(x, dense(values), { transB: !storedTransposed }),
        dense: (values) => (storedTransposed ? transpose(dense(values), [1, 0]) : dense(values)),
      };
    },
  };
}

/** Exact, and smoothed as int8 is. */
const SMOOTHED = halves("fed", COMPUTES.int8.smoothing);
const MINE = [halves("fed"), halves("bound"), SMOOTHED];
const ALL = [...Object.values<Compute>(COMPUTES), ...MINE];

/** Families of unlike products, of widths that fill blocks of 32: transposed matrices, experts with a router. */
const WIDTHS: Readonly<Record<string, RawConfig>> = {
  llama: { hidden_size: 64, intermediate_size: 64 },
  gpt2: { n_embd: 64 },
  qwen3_moe: { hidden_size: 64, moe_intermediate_size: 64 },
};

/** What each may differ from its own weight in float32, of the size of the outputs: int8 activations are rounded. */
const PRODUCT_TOLERANCE: Readonly<Record<string, number>> = { int8: 0.02, w4: 0.02, direct: 0.02 };
/** The same of the gradient of activations, where it is rounded too. */
const GRADIENT_TOLERANCE: Readonly<Record<string, number>> = { int8: 0.02 };
/** What each may differ from the stored weight, of its largest entry. */
const WEIGHT_TOLERANCE: Readonly<Record<string, number>> = { int8: 1 / 250, w4: 1 / 8, direct: 1 / 120 };
/** What a whole model may differ, of the size of its outputs, by how its products are rounded. */
const roughness = ({ name }: Compute, exact: number): number =>
  Math.max(exact, 3 * (PRODUCT_TOLERANCE[name] ?? 0));
/** Kinds whose values each keeps. */
const KEPT: Readonly<Record<string, readonly StorageName[]>> = {
  w4: ["q4_0", "q4_1"],
  direct: ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"],
};

const drawn = new Map<string, Float32Array<ArrayBuffer>>();

/** Draws numbers, once for all tests, which change none. */
function draw(shape: readonly number[], seed: number): Float32Array<ArrayBuffer> {
  const key = `${seed}: ${shape.join()}`;
  let values = drawn.get(key);
  if (!values) {
    const random = new Random(seed);
    values = new Float32Array(numElements(shape)).map(() => random.normal());
    drawn.set(key, values);
  }
  return values;
}

/** Makes the operands of a stored tensor, and says which memory was asked for. */
async function prepared(
  product: Product,
  stored: StoredTensor,
): Promise<{ operands: Readonly<Record<string, HostTensor>>; asked: Set<string> }> {
  const asked = new Set<string>();
  const operands = await product.prepare(
    {
      stored: () => Promise.resolve(stored),
      readInto: async (into, start = 0) => into.set(dequantize(stored).subarray(start, start + into.length)),
      view: () => null,
      smoothing: () => null,
    },
    ({ suffix, dtype, shape }) => {
      asked.add(suffix);
      const memory = zeros(dtype, shape);
      // Memory that was used before.
      memory.data.fill((dtype === "int64" ? 7n : 7) as never);
      return memory;
    },
  );
  return { operands, asked };
}

/** The weight [out, in] with which an arithmetic computes. */
async function denseOf(product: Product, stored: StoredTensor): Promise<HostTensor<"float32">> {
  const graph = new Graph();
  const { operands } = await prepared(product, stored);
  const values = Object.fromEntries(
    product.operands.map(({ suffix, dtype, shape }) => [suffix, graph.input(`w${suffix}`, dtype, shape)]),
  );
  const weight = product.dense(values);
  const feeds = Object.fromEntries(Object.entries(operands).map(([suffix, of]) => [`w${suffix}`, of]));
  const inputs = Object.fromEntries(Object.values(values).map((value) => [value.name, value]));
  const program = await engine.compile({ name: "dense", inputs, outputs: { weight } });
  const into = zeros("float32", weight.shape as number[]);
  await program.run(feeds, { weight: into });
  await program.release();
  return into;
}

/** The largest magnitude; not a number where one is none. */
function largest(values: ArrayLike<number>): number {
  let max = 0;
  for (let i = 0; i < values.length; i++) max = Math.max(max, Math.abs(values[i]!));
  return max;
}

function assertNear(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  const apart = largestDifference(found, expected);
  assert.ok(apart <= tolerance * largest(expected), `${what}: ${apart} apart of ${largest(expected)}`);
}

for (const [turn, compute] of ALL.entries()) {
  describe(`arithmetic ${compute.name}`, () => {
    for (const [i, storage] of (Object.keys(STORAGES) as StorageName[]).entries()) {
      if (STORAGES[storage].quantize === "read-only") continue;
      for (const storedTransposed of inTurn([false, true], turn + i)) {
        test(`a matrix kept as ${storage}${storedTransposed ? ", transposed" : ""}`, async () => {
          const matrix: Matrix = { role: "up", inFeatures: 256, outFeatures: 320, storedTransposed };
          const product = compute.product(matrix, storage);
          assert.ok(product, "it takes no plain matrix");
          const shape = storedTransposed ? [256, 320] : [320, 256];
          const stored = quantizeTo(storage, draw(shape, 1), shape);
          const { operands, asked } = await prepared(product, stored);
          assert.deepEqual([...asked].sort(), product.operands.map(({ suffix }) => suffix).sort());
          for (const { suffix, dtype, shape: size } of product.operands) {
            assert.deepEqual([operands[suffix]?.dtype, operands[suffix]?.shape], [dtype, size], suffix);
          }

          const weight = await denseOf(product, stored);
          assert.deepEqual(weight.shape, [320, 256]);
          const values = dequantize(stored);
          const inRows = storedTransposed
            ? weight.data.map((_, i) => values[(i % 256) * 320 + Math.floor(i / 256)]!)
            : values;
          const isKept = !storedTransposed && KEPT[compute.name]?.includes(storage);
          const tolerance = isKept ? 1e-6 : (WEIGHT_TOLERANCE[compute.name] ?? 0);
          assertNear(weight.data, inRows, tolerance, "weight");

          const ofGradient = GRADIENT_TOLERANCE[compute.name] ?? 1e-5;
          await assertProduct(product, operands, weight, PRODUCT_TOLERANCE[compute.name] ?? 1e-6, ofGradient);
        });
      }
    }

    for (const [i, modelType] of Object.keys(WIDTHS).entries()) {
      test(`${modelType}: the model computes and trains as one in float32 of its weights`, async () => {
        const { base, rounded } = await modelsOf(compute, modelType);
        const batch = unpacked(examplesFor(base.model, [9, 6, 4]));
        for (const method of inTurn([lora, dora], turn + i)) {
          const [adapter, expected] = await Promise.all([
            movedLora(base, method),
            movedLora(rounded, method),
          ]);
          // What DoRA starts from is read from the base, which is not the rounded one.
          adapter.groups.forEach(({ values }, i) => values.set(expected.groups[i]!.values));
          const tolerance = roughness(compute, 1e-5);
          const options = await exactOptionsOf(compute, base, batch);
          assertNear(
            await logitsOf(engine, base, adapter, batch, options),
            await logitsOf(engine, rounded, expected, batch),
            tolerance,
            `logits with ${method.name}`,
          );
          for (const recompute of [false, true]) {
            const own = await lossAndGradients(engine, base, adapter, [batch], { ...options, recompute });
            const other = await lossAndGradients(engine, rounded, expected, [batch], { recompute });
            assertNear([own.loss], [other.loss], tolerance, "loss");
            assert.deepEqual([...own.gradients.keys()], [...other.gradients.keys()]);
            for (const [name, gradient] of own.gradients) {
              assertNear(gradient, other.gradients.get(name)!, 3 * tolerance, `gradient of ${name}`);
            }
          }
        }
      });
    }
  });
}

/** Holds the product and its gradient against those with the dense weight. */
async function assertProduct(
  product: Product,
  operands: Readonly<Record<string, HostTensor>>,
  weight: HostTensor<"float32">,
  tolerance: number,
  gradientTolerance: number,
): Promise<void> {
  const [numOutputs, numInputs] = weight.shape as [number, number];
  const graph = new Graph();
  const x = graph.input("x", "float32", ["B", "T", numInputs]);
  const values = Object.fromEntries(
    product.operands.map(({ suffix, dtype, shape }) => [suffix, graph.input(`w${suffix}`, dtype, shape)]),
  );
  const plain = graph.input("plain", "float32", weight.shape);
  const y = product.project(x, values);
  const exact = matmul(x, plain, { transB: true });
  const dy = graph.input("dy", "float32", y.shape);
  const [dx] = gradients([{ value: y, gradient: dy }], [x]);
  const [exactDx] = gradients([{ value: exact, gradient: dy }], [x]);
  const constants = Object.fromEntries(Object.entries(operands).map(([suffix, of]) => [`w${suffix}`, of]));
  const inputs = Object.fromEntries(
    [x, dy, plain, ...Object.values(values)].map((value) => [value.name, value]),
  );
  const outputs = { y, exact, dx: dx!, exactDx: exactDx! };
  const bound = product.binding === "bound" ? constants : {};
  const program = await engine.compile({ name: "product", inputs, outputs }, { constants: bound });
  const into = {
    y: zeros("float32", [2, 3, numOutputs]),
    exact: zeros("float32", [2, 3, numOutputs]),
    dx: zeros("float32", [2, 3, numInputs]),
    exactDx: zeros("float32", [2, 3, numInputs]),
  };
  const tensor = (shape: readonly number[], seed: number): HostTensor =>
    hostTensor("float32", shape, draw(shape, seed));
  const feeds = { x: tensor([2, 3, numInputs], 2), dy: tensor([2, 3, numOutputs], 3), plain: weight };
  await program.run({ ...feeds, ...constants }, into);
  await program.release();
  assertNear(into.y.data, into.exact.data, tolerance, "product");
  assertNear(into.dx.data, into.exactDx.data, gradientTolerance, "gradient");
}

/** An arithmetic; with factors where they change no rounded weight. */
async function exactOptionsOf(compute: Compute, base: BaseModel, batch: Batch): Promise<SessionOptions> {
  return PRODUCT_TOLERANCE[compute.name] ? { compute } : await optionsOf(compute, base, batch);
}

/** An arithmetic with the factors that it measures of a batch. */
async function optionsOf(compute: Compute, base: BaseModel, batch: Batch) {
  const facts = factsOf(batch);
  return { compute, smoothing: await measureSmoothing(engine, base, compute, { input: batch.input, facts }) };
}

async function movedLora(base: BaseModel, method: typeof lora) {
  const adapter = await attachTo(base, method, { rank: 2 });
  perturb(adapter, 0.05);
  return adapter;
}

/** A tiny model, half of whose matrices are kept as q4_1; and the same whose weights are those of an arithmetic. */
async function modelsOf(
  compute: Compute,
  modelType: string,
): Promise<{ base: BaseModel; rounded: BaseModel }> {
  const { config: raw, tensors } = tinyModelParts({ modelType, config: WIDTHS[modelType] ?? {} });
  const model = openModel(raw);
  const [kept, dense] = [new Map<string, StoredTensor>(), new Map<string, StoredTensor>()];
  for (const [name, data] of tensors) {
    const site = model.siteOf(name.replace(/\.weight$/, ""));
    const isMatrix = site?.kind === "linear" && model.tensors.get(name)?.layer !== null;
    const takesBlocks = isMatrix && !site.storedTransposed && name.length % 2 === 0;
    const stored = quantizeTo(takesBlocks ? "q4_1" : "f32", data.data, data.shape);
    kept.set(name, stored);
    const product = isMatrix && site.role !== "router" ? compute.product(site, stored.storage) : null;
    dense.set(name, product && site ? await asStored(product, site, stored) : stored);
  }
  return {
    base: new BaseModel("own", model, memorySource(kept)),
    rounded: new BaseModel("rounded", model, memorySource(dense)),
  };
}

async function asStored(product: Product, matrix: Matrix, stored: StoredTensor): Promise<StoredTensor> {
  const { data } = await denseOf(product, stored);
  const { inFeatures, outFeatures } = matrix;
  const values = matrix.storedTransposed
    ? data.map((_, i) => data[(i % outFeatures) * inFeatures + Math.floor(i / outFeatures)]!)
    : data;
  return quantizeTo("f32", values, stored.shape);
}

describe("an arithmetic that is exact", () => {
  for (const [turn, method] of METHODS.entries()) {
    test(`${method.name}: gives the gradients of float32, fed or bound`, async () => {
      const { base } = await modelsOf(f32, "llama");
      const batch = unpacked(examplesFor(base.model, [9, 6, 4]));
      const adapter = await attachTo(base, method);
      perturb(adapter, 0.01);
      const expected = await lossAndGradients(engine, base, adapter, [batch]);
      for (const compute of inTurn(MINE, turn)) {
        const options = await optionsOf(compute, base, batch);
        const found = await lossAndGradients(engine, base, adapter, [batch], options);
        assert.deepEqual([...found.gradients.keys()], [...expected.gradients.keys()]);
        assertNear([found.loss], [expected.loss], 1e-6, compute.name);
        for (const [name, gradient] of found.gradients) {
          assertNear(gradient, expected.gradients.get(name)!, 1e-4, `${compute.name}: ${name}`);
        }
      }
    });
  }
});

describe("smoothing", () => {
  /** A llama one of whose channels is much larger than the others, as those of large models are. */
  async function withOutlier(): Promise<BaseModel> {
    const { base } = await modelsOf(f32, "llama");
    const changed = [...base.model.tensors.keys()].flatMap((name) => {
      const factor = /layernorm/.test(name) ? 60 : /[qkv]_proj|gate_proj|up_proj/.test(name) ? 1 / 60 : 0;
      return factor === 0 ? [] : [{ name, factor }];
    });
    const scaled = changed.map(async ({ name, factor }): Promise<[string, HostTensor<"float32">]> => {
      const { shape, data } = await base.values(name);
      const width = shape.at(-1)!;
      const values = data.map((value, i) => (i % width === 3 ? factor * value : value));
      return [name, hostTensor("float32", [...shape], values)];
    });
    return withTensors(base, new Map(await Promise.all(scaled)));
  }

  test("int8: a large channel costs the others little", async () => {
    const base = await withOutlier();
    const batch = unpacked(examplesFor(base.model, [9, 6, 4]));
    const exact = await logitsOf(engine, base, null, batch);
    const apart = async (options: SessionOptions): Promise<number> => {
      const found = await logitsOf(engine, base, null, batch, options);
      return largestDifference(found, exact);
    };
    const smoothed = await apart(await optionsOf(COMPUTES.int8, base, batch));
    const plain = await apart({ compute: COMPUTES.int8 });
    assert.ok(smoothed < plain / 2, `${smoothed} apart with factors, ${plain} without`);
  });

  test("projections that read the same share factors, experts have none, and the same batch gives the same", async () => {
    for (const [modelType, number] of [["llama", 4] as const, ["qwen3_moe", 3] as const]) {
      const { base } = await modelsOf(f32, modelType);
      const batch = unpacked(examplesFor(base.model, [9, 6, 4]));
      const { smoothing } = await optionsOf(SMOOTHED, base, batch);
      const prefix = base.model.blockPrefix(base.model.numLayers - 1);
      const ofBlock = [...smoothing].filter(([name]) => name.startsWith(prefix));
      assert.equal(new Set(ofBlock.map(([, factors]) => factors)).size, number, modelType);
      assert.ok(ofBlock.every(([name]) => !name.includes(".experts.")));
      assert.deepEqual((await optionsOf(SMOOTHED, base, batch)).smoothing, smoothing);
      assert.equal((await optionsOf(f32, base, batch)).smoothing.size, 0);
    }
  });
});

/** Writes twelve tokens. */
async function write(
  base: BaseModel,
  residency: Residency,
  options: SessionOptions = {},
): Promise<{ ids: readonly number[]; logits: Float32Array[] }> {
  const session = new Session(engine, base, residency, options);
  const generator = await Generator.create({ session, adapter: await movedLora(base, lora) });
  const logits: Float32Array[] = [];
  const onLogits = (of: Float32Array): void => void logits.push(of.slice());
  const { ids } = await generator.complete({ promptIds: [1, 2, 3], maxNewTokens: 12, onLogits });
  await session.release();
  return { ids, logits };
}

describe("generating", () => {
  for (const [turn, compute] of ALL.entries()) {
    for (const residency of inTurn(["stored", "float32"] as const, turn)) {
      test(`${compute.name}, ${residency}: groups of blocks write what float32 of its weights writes`, async () => {
        const { base, rounded } = await modelsOf(compute, "llama");
        const batch = unpacked(examplesFor(base.model, [9, 6, 4]));
        const options = await exactOptionsOf(compute, base, batch);
        const [own, expected] = [await write(base, residency, options), await write(rounded, residency)];
        const tolerance = roughness(compute, 1e-5);
        assert.equal(own.ids.length, 12);
        if (tolerance < 0.01) assert.deepEqual(own.ids, expected.ids);
        // Rounded activations may choose another token, after which nothing can be compared.
        const numEqual = own.ids.findIndex((id, i) => id !== expected.ids[i]);
        for (const [step, logits] of own.logits.slice(0, numEqual < 0 ? 12 : numEqual + 1).entries()) {
          assertNear(logits, expected.logits[step]!, tolerance, `logits of token ${step}`);
        }
      });
    }
  }
});
