/** @file SNELL: gradients of every kernel and threshold, rank, zeros, start, options, and what it does not keep. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { takeFrom } from "../../src/format/adapters/adapter-settings.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { mul, sub } from "../../src/graph/ops/pointwise/elementwise.ts";
import { reduceMean } from "../../src/graph/ops/reductions/reduce-mean.ts";
import { type ProgramSpec, nodesOf } from "../../src/graph/program.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import type { AdapterMethod } from "../../src/peft/method.ts";
import type { ParameterSpec, SitePlace } from "../../src/peft/sites/site.ts";
import { KERNELS } from "../../src/peft/methods/snell/kernels.ts";
import { SPARSIFIERS, THROUGH } from "../../src/peft/methods/snell/sparsify.ts";
import { snell } from "../../src/peft/methods/snell.ts";
import { Random } from "../../src/random.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { numElements } from "../../src/graph/shape.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { assertReadBack } from "../conformance/read-back.ts";
import { openAdamw } from "../passes/adamw.ts";
import { assertBlockGradient, buildBlock } from "../reference/block-reference.ts";
import { largestDifference } from "../reference/differences.ts";
import { Evaluation, evaluate } from "../reference/evaluator.ts";
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
import { watchRuns } from "../passes/watched-runs.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { linearSite } from "../tiny/sites.ts";
import type { Array64 } from "../ops/array64.ts";
import { gradientsOf, groupOf } from "../tiny/one-group.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();

/** The update of a method on a projection alone, with its trained and its frozen tensors where they start. */
async function updateOf(
  method: AdapterMethod,
  outFeatures: number,
  inFeatures: number,
  raw: object,
  seed = 1,
) {
  const spec = linearSite("proj", inFeatures, outFeatures, false);
  const place: SitePlace = { path: "proj", spec, storage: "f32", groupSize: null, sites: [spec] };
  const options = method.configure(method.options.parse(raw))(place);
  const graph = new Graph();
  const inputsOf = (specs: readonly ParameterSpec[]): Record<string, Value> =>
    Object.fromEntries(
      specs.map(({ suffix, shape }) => [suffix, graph.input(suffix, "float32", shape)] as const),
    );
  const inputs = inputsOf(method.trained.specs(spec, options));
  const frozen = inputsOf(method.frozen.specs(spec, options));
  const values = { ...inputs, ...frozen };
  const tensors = Object.fromEntries(
    Object.entries(values).map(([name, { shape }]) => [name, zeros("float32", shape as number[])]),
  );
  const weight = () => assert.fail("the factors start from no weight");
  const start = { ...place, tensors, weight, stored: weight, shareOnBase: weight };
  await method.trained.init(start, options, new Random(seed));
  const none = graph.input("none", "float32", [outFeatures, inFeatures]);
  assert.ok(method.merge !== "not-mergeable");
  const { weight: delta } = method.merge.graph({ weight: none, bias: null }, values, spec, options);
  return { graph, inputs, frozen, tensors, none, delta };
}

/** The update as numbers, [out, in]. */
async function numbersOf(
  method: AdapterMethod,
  outFeatures: number,
  inFeatures: number,
  raw: object,
  move: (tensors: Record<string, HostTensor<"float32">>, trained: readonly string[]) => void = () => {},
): Promise<Float32Array> {
  const { inputs, frozen, tensors, none, delta } = await updateOf(method, outFeatures, inFeatures, raw);
  move(tensors, Object.keys(inputs));
  const all = { ...inputs, ...frozen, none };
  const program = await engine.compile({ name: "delta", inputs: all, outputs: { delta } });
  const result = zeros("float32", [outFeatures, inFeatures]);
  await program.run({ ...tensors, none: zeros("float32", [outFeatures, inFeatures]) }, { delta: result });
  await program.release();
  return result.data;
}

/** Numerical rank: singular values above float32's rounding of the largest. */
function rankOf(values: Float32Array, rows: number): number {
  const sigma = new SingularValueDecomposition(Matrix.from1DArray(rows, values.length / rows, values))
    .diagonal;
  return sigma.filter((value) => value > 1e-5 * sigma[0]!).length;
}

const norm = (values: Float32Array): number => Math.hypot(...values);
const numZeros = (values: Float32Array): number => values.filter((value) => value === 0).length;

describe("gradients of SNELL's update equal central differences, with what is held constant held", () => {
  const STEP = 1e-6;
  const modes = SPARSIFIERS.flatMap((sparsify): Readonly<Record<string, string>>[] =>
    sparsify === "soft" ? THROUGH.map((through) => ({ sparsify, through })) : [{ sparsify }],
  );
  for (const [kernel, mode] of Object.keys(KERNELS).flatMap((k) => modes.map((m) => [k, m] as const))) {
    test(`${kernel}, ${Object.values(mode).join(" through ")}`, async () => {
      const options = { rank: 4, kernel, sparsity: 0.4, alpha: 0.8, ...mode };
      const { graph, inputs, frozen, tensors, none, delta } = await updateOf(snell, 5, 6, options);
      const seed = graph.input("seed", "float32", [5, 6]);
      const random = new Random(3);
      const draw = ({ shape }: Value): Array64 => ({
        shape: shape as number[],
        data: new Float64Array(numElements(shape as number[])).map(() => 0.5 * random.normal()),
      });
      const feeds: Record<string, Array64> = { none: draw(none), seed: draw(seed) };
      for (const [name, value] of Object.entries({ ...inputs, ...frozen })) {
        const { shape, data } = draw(value);
        // The kernel's own numbers stay near their start: a negative β would make values of any size.
        const isFactor = shape.length === 2;
        feeds[name] = {
          shape,
          data: isFactor ? data : data.map((x, i) => tensors[name]!.data[i]! + 0.2 * x),
        };
      }
      const all = { ...inputs, ...frozen, none, seed };

      const forward: ProgramSpec = { name: "forward", inputs: all, outputs: { delta } };
      const heldNodes = nodesOf(forward).filter(({ op }) => op.name === "stopGradient");
      const held = Object.fromEntries(heldNodes.map(({ outputs }, i) => [`held${i}`, outputs[0]]));
      Object.assign(feeds, evaluate({ name: "held", inputs: all, outputs: held }, feeds));
      // An entry that is the threshold itself sits on a corner; it counts as dropped, as just below.
      for (const [name, { shape, data }] of Object.entries(feeds)) {
        if (name in held && shape.length === 0)
          feeds[name] = { shape, data: data.map((x) => x * (1 + 1e-4)) };
      }
      const found = gradients([{ value: delta, gradient: seed }], Object.values(inputs));
      const outputs = Object.fromEntries(Object.keys(inputs).map((name, i) => [name, found[i]!]));
      const exact = evaluate({ name: "backward", inputs: { ...all, ...held }, outputs }, feeds);

      const anew = new Evaluation({ ...forward, inputs: { ...all, ...held } }, feeds);
      const sumAt = (name: string, place: number, by: number): number => {
        const { shape, data } = feeds[name]!;
        const moved = { shape, data: data.with(place, data[place]! + by) };
        const result = anew.outputs({ [name]: moved });
        return result["delta"]!.data.reduce((sum, value, i) => sum + value * feeds["seed"]!.data[i]!, 0);
      };
      for (const [name, { data }] of Object.entries(exact)) {
        for (const [place, value] of data.entries()) {
          const difference = (sumAt(name, place, STEP) - sumAt(name, place, -STEP)) / (2 * STEP);
          const apart = Math.abs(value - difference);
          assert.ok(apart <= 1e-6 * (1 + Math.abs(value)), `${name}[${place}]: ${value}, ${difference}`);
        }
      }
    });
  }
});

describe("SNELL's update", () => {
  test("has nearly full rank where LoRA's, of as many numbers, has rank R", async () => {
    const [rows, columns] = [64, 80];
    for (const sparsify of ["none", "hard", "soft"]) {
      const delta = await numbersOf(snell, rows, columns, { rank: 8, sparsify });
      assert.ok(rankOf(delta, rows) >= rows - 2, `${sparsify}: rank ${rankOf(delta, rows)}`);
    }
    assert.equal(
      rankOf(await numbersOf(snell, rows, columns, { kernel: "linear", sparsify: "none" }), rows),
      8,
    );
    assert.equal(
      rankOf(await numbersOf(snell, rows, columns, { kernel: "polynomial", sparsify: "none" }), rows),
      44,
    );
    const { inputs } = await updateOf(lora, rows, columns, { rank: 8 });
    const own = await updateOf(snell, rows, columns, { rank: 8, learnKernel: false });
    const count = (values: object): number =>
      Object.values(values).reduce((sum: number, { shape }) => sum + numElements(shape), 0);
    assert.equal(count(own.inputs), count(inputs));
  });

  test("has as many zeros as its sparsity says, in large matrices too", async () => {
    for (const [rows, columns] of [
      [24, 30],
      [210, 190],
    ] as const) {
      for (const sparsity of [0, 0.1, 0.5, 0.61, 0.995]) {
        const count = rows * columns;
        const inPaper = Math.ceil(sparsity * count);
        for (const sparsify of ["soft", "hard", "fixed"]) {
          assert.equal(numZeros(await numbersOf(snell, rows, columns, { sparsify, sparsity })), inPaper);
        }
        const inCode = numZeros(
          await numbersOf(snell, rows, columns, { sparsify: "hard-magnitude", sparsity }),
        );
        assert.ok(Math.abs(inCode / count - sparsity) <= 1 / count, `${inCode} of ${count}`);
      }
    }
  });

  test("keeps the entries of the start, if its mask is fixed, whatever becomes of the factors", async () => {
    const options = { rank: 4, sparsify: "fixed", sparsity: 0.7 };
    const draw = new Random(5);
    const move = (tensors: Record<string, HostTensor<"float32">>, trained: readonly string[]): void => {
      for (const name of trained) tensors[name]!.data.forEach((x, i, data) => (data[i] = x + draw.normal()));
    };
    const start = await numbersOf(snell, 24, 30, options);
    const moved = await numbersOf(snell, 24, 30, options, move);
    const mask = (values: Float32Array): boolean[] => [...values].map((value) => value !== 0);
    assert.deepEqual(start, await numbersOf(snell, 24, 30, { ...options, sparsify: "hard" }));
    assert.deepEqual(mask(moved), mask(start));
    assert.ok(largestDifference(moved, start) > 0.1);
    const chosen = await numbersOf(snell, 24, 30, { ...options, sparsify: "hard" }, move);
    assert.notDeepEqual(mask(chosen), mask(start));
  });

  test("adds to distances, with SNELLA's kernel, shares that an input's outputs have of one", async () => {
    const [rows, columns] = [5, 7];
    const raw = { rank: 4, alpha: 0.1, sparsify: "none" };
    const plain = await numbersOf(snell, rows, columns, { ...raw, learnKernel: false });
    const found = await numbersOf(snell, rows, columns, { ...raw, kernel: "softmax" }, (tensors) => {
      tensors["snell_beta"]!.data.fill(1.5);
      tensors["snell_gamma"]!.data.fill(0.7);
      tensors["snell_delta"]!.data.fill(0.25);
    });
    for (let j = 0; j < columns; j++) {
      const column = Array.from({ length: rows }, (_, i) => plain[i * columns + j]!);
      const total = column.reduce((sum, value) => sum + Math.exp(value / 0.7), 0);
      for (const [i, value] of column.entries()) {
        const wanted = value + (1.5 * Math.exp(value / 0.7)) / total + 0.25;
        assert.ok(Math.abs(found[i * columns + j]! - wanted) < 1e-6);
      }
    }
  });

  test("has exact distances and slopes where segments are single numbers, near ones too", async () => {
    const size = 48;
    const random = new Random(5);
    const [a, b] = [0, 1].map(() => new Float32Array(2 * size).map(() => random.normal()));
    for (let i = 0; i < size; i++) b![2 * i] = a![2 * i]! + 2e-5 * random.normal();
    const options = { rank: 2, sparsify: "none", learnKernel: false };
    const { graph, inputs, none, delta } = await updateOf(snell, size, size, options);
    const seed = graph.input("seed", "float32", [size, size]);
    const [slope] = gradients([{ value: delta, gradient: seed }], [inputs["snell_B"]!]);
    const outputs = { delta, slope: slope! };
    const program = await engine.compile({ name: "delta", inputs: { ...inputs, none, seed }, outputs });
    const found = { delta: zeros("float32", [size, size]), slope: zeros("float32", [size, 2]) };
    const factors = {
      snell_A: hostTensor("float32", [size, 2], a!),
      snell_B: hostTensor("float32", [size, 2], b!),
    };
    const ones = hostTensor("float32", [size, size], new Float32Array(size * size).fill(1));
    await program.run({ ...factors, none: zeros("float32", [size, size]), seed: ones }, found);
    await program.release();
    const across = (i: number, j: number, part: number): number => b![2 * i + part]! - a![2 * j + part]!;
    const places = Array.from({ length: size }, (_, i) => i);
    for (const i of places) {
      for (const j of places) {
        const wanted = Math.abs(across(i, j, 0)) - Math.abs(across(i, j, 1));
        assert.ok(Math.abs(found.delta.data[i * size + j]! - wanted) <= 1e-6, `${i}, ${j}`);
      }
      for (const part of [0, 1]) {
        const wanted = places.reduce((sum, j) => sum + Math.sign(across(i, j, part)), 0) * (1 - 2 * part);
        assert.ok(Math.abs(found.slope.data[2 * i + part]! - wanted) <= 1e-4, `${part} of ${i}`);
      }
    }
  });

  test("starts as the published code does", async () => {
    const size = 256;
    const delta = await numbersOf(snell, size, size, { alpha: 0.1, learnKernel: false, sparsify: "none" });
    const mean = delta.reduce((sum, value) => sum + Math.abs(value), 0) / delta.length;
    assert.ok(Math.abs(mean - 1.8e-3) < 1e-4, `mean size ${mean}`);
    assert.ok(Math.abs(norm(delta) - 0.56) < 0.03, `norm ${norm(delta)}`);
    const options = { alpha: 0.1, learnKernel: false, sparsity: 0.9 };
    const soft = norm(await numbersOf(snell, size, size, { ...options, sparsify: "soft" }));
    const code = norm(await numbersOf(snell, size, size, { ...options, sparsify: "hard-magnitude" }));
    assert.ok(Math.abs(soft - 5e-4) < 1e-4 && Math.abs(code - 1.8e-3) < 1e-4, `${soft}, ${code}`);
  });

  test("fits a random matrix better with any kernel than with a product of as many numbers", async () => {
    const { linear, ...others } = Object.fromEntries(
      await Promise.all(
        Object.keys(KERNELS).map(async (kernel) => [kernel, await fit(kernel, 32, 800)] as const),
      ),
    );
    assert.equal(Object.keys(others).length, 5);
    for (const [kernel, error] of Object.entries(others)) {
      const most = kernel === "piecewise-linear" ? 0.92 : 0.96;
      assert.ok(error < most * linear!, `${kernel}: ${error}, linear ${linear}`);
    }
  });
});

/** Mean squared error that is left of a standard normal matrix after so many steps of Adam. */
async function fit(kernel: string, size: number, numSteps: number): Promise<number> {
  const options = { rank: 4, kernel, sparsify: "none" };
  const { graph, inputs, tensors, none, delta } = await updateOf(snell, size, size, options);
  const target = graph.input("target", "float32", [size, size]);
  const error = sub(delta, target);
  const loss = reduceMean(mul(error, error), [0, 1]);
  const one = graph.constant("float32", [1, 1], Float32Array.of(1));
  const found = gradients([{ value: loss, gradient: one }], Object.values(inputs));
  const names = Object.keys(inputs);
  const derivatives = Object.fromEntries(names.map((name, i) => [`d.${name}`, found[i]!]));
  const program = await engine.compile({
    name: "fit",
    inputs: { ...inputs, none, target },
    outputs: { loss, ...derivatives },
  });
  const lengths = names.map((name) => tensors[name]!.data.length);
  const total = lengths.reduce((sum, n) => sum + n, 0);
  const [values, gradient] = [new Float32Array(total), new Float32Array(total)];
  const [views, into]: [Record<string, HostTensor>, Record<string, HostTensor>] = [{}, {}];
  const result = zeros("float32", [1, 1]);
  into["loss"] = result;
  let offset = 0;
  for (const [i, name] of names.entries()) {
    const end = offset + lengths[i]!;
    values.set(tensors[name]!.data, offset);
    views[name] = hostTensor("float32", tensors[name]!.shape, values.subarray(offset, end));
    into[`d.${name}`] = hostTensor("float32", tensors[name]!.shape, gradient.subarray(offset, end));
    offset = end;
  }
  const random = new Random(9);
  const wanted = hostTensor(
    "float32",
    [size, size],
    new Float32Array(size * size).map(() => random.normal()),
  );
  const adamw = await openAdamw(engine, { groups: groupOf(values) });
  for (let step = 1; step <= numSteps; step++) {
    await program.run({ ...views, none: zeros("float32", [size, size]), target: wanted }, into);
    await adamw.step(gradientsOf(gradient), { learningRate: 0.03 });
  }
  await program.release();
  await adamw.release();
  return result.data[0]!;
}

describe("SNELL on a model", async () => {
  const { base, checkpoint } = await openUntilEnd(fileURLToPath(new URL("../small-model", import.meta.url)));

  test("changes each weight by little at the start", async () => {
    const bounds: readonly (readonly [object, number])[] = [
      [{}, 0.02],
      [{ sparsity: 0.5 }, 0.05],
      [{ alpha: 0.1, learnKernel: false, sparsify: "hard-magnitude" }, 0.001],
    ];
    for (const [options, bound] of bounds) {
      const merged = await mergeAdapter(engine, base, await attachTo(base, snell, options));
      for (const [name, { data }] of merged) {
        const weight = (await base.values(name)).data;
        const change = norm(data.map((value, i) => value - weight[i]!)) / norm(weight);
        assert.ok(change > 0 && change < bound, `${name} changes by ${change}`);
      }
    }
  });

  test("forms the update inside the programs alone: nothing of a weight's size is kept", async () => {
    const adapter = await attachTo(base, snell);
    const { saved, adapter: own } = buildBlock(base, adapter, 0).part;
    const sizes = [...adapter.sites.values()].map(({ spec }) => spec.inFeatures * spec.outFeatures);
    const smallest = Math.min(...sizes);
    for (const [name, { shape }] of Object.entries({ ...saved, ...own })) {
      const known = shape.filter((dim) => typeof dim === "number");
      assert.ok(
        shape.length > known.length || numElements(known) < smallest,
        `${name} [${shape.join(", ")}]`,
      );
    }
  });

  test("names the module whose factors are narrower than the kernel's pieces", async () => {
    for (const kernel of ["piecewise-linear", "softmax"])
      await assert.rejects(() => attachTo(base, snell, { rank: 2, pieces: 3, kernel }), {
        message: /"model\.layers\.0\.self_attn\.q_proj".* 2 numbers per row, expected at least the 3 pieces/,
        hint: /pieces of at most 2/,
      });
    await attachTo(base, snell, { rank: 2, pieces: 3, kernel: "rbf" });
  });

  test("names the module of which a sparsity leaves nothing, and trains what leaves one entry", async () => {
    const { spec } = (await attachTo(base, snell, {}, ["q_proj"])).sites.get(
      "model.layers.0.self_attn.q_proj",
    )!;
    const numEntries = spec.outFeatures * spec.inFeatures;
    for (const mode of ["soft", "hard"]) {
      const options = { sparsify: mode, sparsityPattern: { q_proj: 1 - 0.5 / numEntries } };
      await assert.rejects(() => attachTo(base, snell, options), {
        message: new RegExp(
          `"model\\.layers\\.0\\.self_attn\\.q_proj".* leaves none of its ${numEntries} entries`,
        ),
        hint: /at most 0\.9/,
      });
    }
    // The quantile of the published code is never above all.
    for (const options of [
      { sparsity: 1 - 1 / numEntries },
      { sparsity: 1 - 0.5 / numEntries, sparsify: "hard-magnitude" },
    ]) {
      await attachTo(base, snell, options, ["q_proj"]);
    }
  });

  test("hands thresholds on from the forward pass, so that the backward one does not search for them", async () => {
    const specs = new Map<string, ProgramSpec>();
    const recording: Engine = {
      ...engine,
      compile: (spec, options) => {
        specs.set(spec.name, spec);
        return engine.compile(spec, options);
      },
    };
    const adapter = await attachTo(base, snell, {}, ["q_proj"]);
    const searches = (name: string): number => {
      const spec = specs.get(name);
      assert.ok(spec, name);
      return nodesOf(spec).filter(({ op }) => op.name === "kthSmallest").length;
    };
    const batch = unpacked(examplesFor(base.model, [6]));
    await lossAndGradients(recording, base, adapter, [batch]);
    assert.equal(searches("block-forwardSaving"), 1);
    assert.equal(searches("block-backward"), 0);
    await lossAndGradients(recording, base, adapter, [batch], { recompute: true });
    assert.equal(searches("block-backwardRecompute"), 1);
  });

  test("takes sparsities by module, and refuses options out of range", async () => {
    const adapter = await attachTo(base, snell, {
      sparsity: 0.3,
      sparsityPattern: { "0.self_attn.q_proj": 0.7, down_proj: 0 },
    });
    const at = (path: string): unknown => adapter.sites.get(`model.layers.${path}`)?.options;
    const sparsity = (path: string): number => (at(path) as { sparsity: number }).sparsity;
    assert.deepEqual(
      ["0.self_attn.q_proj", "1.self_attn.q_proj", "2.mlp.down_proj"].map(sparsity),
      [0.7, 0.3, 0],
    );
    for (const options of [
      { sparsity: 1 },
      { sparsity: -0.1 },
      { sparsity: NaN },
      { sparsityPattern: { q_proj: 1 } },
      { rank: 0 },
      { rank: 2, pieces: 3 },
      { kernel: "cosine" },
      { sparsify: "harder" },
    ]) {
      await assert.rejects(() => attachTo(base, snell, options), {
        name: "UsageError",
        code: "usage/flag",
      });
    }
  });

  test("reads back from adapter_config.json every option that it writes", () => {
    const options = {
      rank: 6,
      kernel: "rbf",
      pieces: 3,
      alpha: 0.25,
      learnKernel: false,
      sparsify: "hard",
      sparsity: 0.75,
      sparsityPattern: { q_proj: 0.5 },
      through: "nothing",
      zeroStart: true,
      dropout: 0.1,
      dropPath: 0.2,
      modulesToSave: ["norm"],
    };
    const raw: Record<string, unknown> = { ...snell.file.toConfig(options, [], []) };
    assert.deepEqual(snell.file.fromConfig(takeFrom(raw), raw), options);
    assert.deepEqual(raw, {});
  });

  test("drops inputs of the update, and the whole update of rows, by masks of their own; never what the base computes", async () => {
    const masks = new Map<string, HostTensor>();
    const recording = watchRuns(engine, (_spec, feeds) => {
      for (const [name, { dtype, shape, data }] of Object.entries(feeds)) {
        if (name.startsWith("dropout.")) masks.set(name, { dtype, shape, data: data.slice() });
      }
    });
    const [length, width] = [6, base.model.width];
    const batch = unpacked(examplesFor(base.model, [length, length]));
    const both = await attachTo(base, snell, { dropout: 0.5, dropPath: 0.5 }, ["0.self_attn.q_proj"]);
    await lossAndGradients(recording, base, both, [batch]);
    const [inputs, rows] = ["", ".rows"].map((end) => masks.get(`dropout.self_attn.q_proj${end}`)!);
    assert.deepEqual(
      [inputs!.shape, rows!.shape],
      [
        [2, length, width],
        [2, 1, 1],
      ],
    );
    for (const { data } of [inputs!, rows!]) assert.ok(data.every((value) => value === 0 || value === 2));
    const values = inputs!.data as Float32Array;
    const share = values.filter((value) => value > 0).length / values.length;
    assert.ok(Math.abs(share - 0.5) < 0.1, `${share} of the inputs are kept`);

    const ofBase = await lossAndGradients(engine, base, await attachTo(base, lora), [batch]);
    for (const option of ["dropout", "dropPath"]) {
      const adapter = await attachTo(base, snell, { [option]: 1 - 1e-9 }, ["q_proj"]);
      perturb(adapter, 0.1);
      const { loss, gradients: found } = await lossAndGradients(engine, base, adapter, [batch]);
      assert.ok(Math.abs(loss - ofBase.loss) < 1e-5, `${option}: ${loss}, and ${ofBase.loss} of the base`);
      for (const [name, gradient] of found)
        assert.ok(
          gradient.every((value) => value === 0),
          name,
        );
    }
  });

  test("a start that is subtracted is the base, bit for bit, and learns, merges and comes back from its folder", async () => {
    const batch = unpacked(examplesFor(base.model, [6, 4]));
    const plain = await logitsOf(engine, base, null, batch);
    for (const options of [
      {},
      { sparsify: "hard-magnitude", alpha: 0.1, learnKernel: false },
      { kernel: "rbf" },
      { kernel: "softmax", sparsify: "fixed" },
    ]) {
      const adapter = await attachTo(base, snell, { ...options, zeroStart: true }, ["0.self_attn.q_proj"]);
      assert.deepEqual(await logitsOf(engine, base, adapter, batch), plain, JSON.stringify(options));
      const { gradients: found } = await lossAndGradients(engine, base, adapter, [batch]);
      assert.ok([...found.values()].every((gradient) => gradient.some((value) => value !== 0)));
      perturb(adapter, 0.05);
      const own = await logitsOf(engine, base, adapter, batch);
      assert.ok(largestDifference(own, plain) > 1e-3);
      const merged = await withTensors(base, await mergeAdapter(engine, base, adapter));
      assert.ok(largestDifference(await logitsOf(engine, merged, null, batch), own) < 2e-5);
      await assertReadBack(engine, { base, checkpoint }, { adapter, batch, path: `${folder}/zero-start` });
      await assertBlockGradient(base, adapter, 0);
    }
  });

  test("every kernel and threshold computes on a model, and close to its base at the start", async () => {
    const batch = unpacked(examplesFor(base.model, [6]));
    const plain = await logitsOf(engine, base, null, batch);
    for (const options of [
      ...Object.keys(KERNELS).map((kernel) => ({ kernel })),
      ...SPARSIFIERS.map((sparsify) => ({ sparsify, alpha: 0.1 })),
    ]) {
      const own = await logitsOf(engine, base, await attachTo(base, snell, options, ["q_proj"]), batch);
      const change = norm(own.map((value, i) => value - plain[i]!)) / norm(plain);
      assert.ok(change > 0 && change < 0.2, `${JSON.stringify(options)}: ${change}`);
    }
  });
});
