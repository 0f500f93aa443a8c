/**
 * @file Branches left out of the backward pass against PyTorch: their parameters have no gradient, and AdamW passes over
 * them, which is not what it does with a gradient of zero.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradients } from "../../src/graph/autodiff.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { add, mul, sub, tanh } from "../../src/graph/ops/pointwise/elementwise.ts";
import { reduceMean } from "../../src/graph/ops/reductions/reduce-mean.ts";
import { stopGradient } from "../../src/graph/ops/shapes/stop-gradient.ts";
import type { ModelTensor } from "../../src/models/graphs/sites.ts";
import { linear } from "../../src/nn/linear.ts";
import { type Parameter, makeParameters } from "../../src/peft/parameters.ts";
import { GradientBuffer } from "../../src/run/gradients/gradient-buffer.ts";
import { BufferPool } from "../../src/runtime/memory/buffer-pool.ts";
import type { Program } from "../../src/runtime/engine.ts";
import { hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { openAdamw } from "../passes/adamw.ts";
import { assertNear, goldenJson, goldenTensors, relativeDifference } from "./golden-files.ts";

const [BRANCHES, TOKENS, WIDTH, HIDDEN] = [4, 5, 8, 6];

interface Golden {
  readonly lr: number;
  /** Of each step, whether each branch is dropped. */
  readonly step_patterns: readonly (readonly boolean[])[];
  readonly variants: Readonly<
    Record<"skip" | "zero", { curve: number[]; grad_norm: number[]; final_loss: number }>
  >;
}

const engine = createEngine({ threads: 1 });
const golden = goldenJson<Golden>("dropbp", "stack.json");
const tensors = await goldenTensors("dropbp", "stack.safetensors");

/** The two matrices of every branch; each branch stands for a block. */
function parameters() {
  const trainedBase = Array.from({ length: BRANCHES }, (_, layer) =>
    [0, 2].map((part): ModelTensor => {
      const path = `${part}.weight`;
      const shape = part === 0 ? [HIDDEN, WIDTH] : [WIDTH, HIDDEN];
      return { name: `branches.${layer}.${path}`, layer, path, shape, role: "weight" };
    }),
  ).flat();
  const made = makeParameters({ trainedBase, sites: new Map() });
  for (const { name, value } of made.parameters) value.data.set(tensors.get(`param.${name}`) ?? []);
  return made;
}

/** Loss of x ← x + W2 tanh(W1 x) and the gradients that there are, when some branches are constants backward. */
async function compile(trained: readonly Parameter[], dropped: readonly boolean[]): Promise<Program> {
  const graph = new Graph();
  const weights = trained.map(({ name, shape }) => [name, graph.input(name, "float32", shape)] as const);
  const weight = (branch: number, part: number): Value => weights[2 * branch + part]?.[1] as Value;
  const [input, target] = ["x", "target"].map((name) => graph.input(name, "float32", [TOKENS, WIDTH])) as [
    Value,
    Value,
  ];
  let x = input;
  for (const [branch, isDropped] of dropped.entries()) {
    const y = linear(tanh(linear(x, weight(branch, 0), null)), weight(branch, 1), null);
    x = add(x, isDropped ? stopGradient(y) : y);
  }
  const error = sub(x, target);
  const loss = reduceMean(mul(error, error), [0, 1]);
  const one = graph.constant("float32", [1, 1], Float32Array.of(1));
  const found = gradients(
    [{ value: loss, gradient: one }],
    weights.map(([, value]) => value),
  );
  const outputs: Record<string, Value> = { loss };
  for (const [i, [name]] of weights.entries()) if (found[i]) outputs[`d.${name}`] = found[i];
  const inputs = { x: input, target, ...Object.fromEntries(weights) };
  return await engine.compile({ name: "stack", inputs, outputs });
}

function example(name: "x" | "target", step: number) {
  const size = TOKENS * WIDTH;
  return hostTensor("float32", [TOKENS, WIDTH], tensors.get(name)!.slice(step * size, (step + 1) * size));
}

/** Ten steps; what is absent is left out, or given to the optimizer as zeros. */
async function train(absent: "skip" | "zero"): Promise<void> {
  const { curve, grad_norm: norms, final_loss: finalLoss } = golden.variants[absent];
  const trained = parameters();
  const buffer = await GradientBuffer.create(engine, trained, new BufferPool());
  const adamw = await openAdamw(engine, trained);
  const loss = zeros("float32", [1, 1]);
  const run = async (dropped: readonly boolean[], step: number): Promise<readonly Parameter[]> => {
    const program = await compile(trained.parameters, dropped);
    const present = trained.parameters.filter(({ name }) => `d.${name}` in program.spec.outputs);
    buffer.begin();
    const targets = present.map((parameter) => [parameter, buffer.target(parameter)] as const);
    const feeds = Object.fromEntries(trained.parameters.map(({ name, value }) => [name, value]));
    const into = Object.fromEntries(targets.map(([{ name }, target]) => [`d.${name}`, target]));
    await program.run(
      { x: example("x", step), target: example("target", step), ...feeds },
      { loss, ...into },
    );
    for (const [parameter, target] of targets) await buffer.add(parameter, target);
    await program.release();
    return buffer.finish();
  };
  for (const [step, dropped] of golden.step_patterns.entries()) {
    const missing = await run(dropped, step);
    assert.equal(missing.length, 2 * dropped.filter(Boolean).length);
    assertNear(loss.data[0]!, curve[step]!, 2e-5, `loss of step ${step}`);
    assertNear(await buffer.norm(), norms[step]!, 2e-5, `gradient norm of step ${step}`);
    if (absent === "zero") {
      for (const parameter of missing) {
        const target = buffer.target(parameter);
        target.data.fill(0);
        await buffer.add(parameter, target);
      }
      buffer.finish();
    }
    await adamw.step(buffer.groups, { learningRate: golden.lr });
  }
  for (const { name, value } of trained.parameters) {
    const final = tensors.get(`train.${absent}/final.${name}`)!;
    assert.ok(relativeDifference(value.data, final) < 1e-3, name);
  }
  await run([false, false, false, false], 0);
  assertNear(loss.data[0]!, finalLoss, 2e-5, "loss after training");
  await Promise.all([buffer.release(), adamw.release()]);
}

describe("ten steps that drop other branches of the backward pass each time", () => {
  test("without gradients AdamW leaves a branch and its moments alone", () => train("skip"));

  test("zeros in their place give the other curve, that of decaying moments", () => train("zero"));
});
