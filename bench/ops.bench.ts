/** @file How long does each operation take in onnxruntime, forward and backward, at sizes of training? */
import { gradients } from "../src/graph/autodiff.ts";
import { Graph, type Value } from "../src/graph/graph.ts";
import { OPS } from "../src/graph/ops.ts";
import { type ProgramSpec, neededInputs } from "../src/graph/program.ts";
import { evaluateShape } from "../src/graph/shape.ts";
import { findNamed } from "../src/messages/find-named.ts";
import type { Engine } from "../src/runtime/engine.ts";
import { type Tensors, zeros } from "../src/runtime/host-tensor.ts";
import { drawInputs, toHost } from "../test/ops/host-arrays.ts";
import { OP_SUITES } from "../test/ops/index.ts";
import type { OpSuite } from "../test/ops/op-suite.ts";
import { defineBenchmark } from "./bench.ts";
import { engineOf, THREADS } from "./harness/threads.ts";
import { median, rounded } from "./harness/statistics.ts";

type Timing = {
  readonly forwardMs: number;
  /** Null when there is nothing to compute: the gradient is the given one itself, or not wanted. */
  readonly backwardMs: number | null;
};

export const benchmark = defineBenchmark({
  question: "How long does each operation take, forward and backward, at the size that training meets?",
  flags: {
    repeats: { value: 20, help: "timed runs of each program" },
    threads: THREADS,
    only: { value: "", help: "name of one operation; empty: all" },
  },
  async run({ repeats, threads, only }, { say }) {
    const engine = engineOf(threads);
    const results: Record<string, { case: string } & Timing> = {};
    const ops = only === "" ? OPS : [findNamed("operation", OPS, only)];
    for (const suite of OP_SUITES.filter(({ op }) => ops.some(({ name }) => name === op))) {
      say(suite.op);
      results[suite.op] = { case: suite.realistic.name, ...(await timeOperation(engine, suite, repeats)) };
    }
    const show = (ms: number | null): string => (ms === null ? "-" : ms.toFixed(3));
    return {
      parameters: { repeats, threads: engine.threads },
      table: {
        head: ["operation", "case", "forward ms", "backward ms"],
        rows: Object.entries(results).map(([op, r]) => [op, r.case, show(r.forwardMs), show(r.backwardMs)]),
      },
      results,
    };
  },
});

async function timeOperation(engine: Engine, suite: OpSuite, repeats: number): Promise<Timing> {
  const { realistic } = suite;
  const op = OPS.find(({ name }) => name === suite.op);
  if (!op) throw new Error(`internal: ${suite.op} is not listed`);
  const graph = new Graph();
  const inputs = realistic.inputs.map(({ dtype, shape }, i) => graph.input(`x${i}`, dtype, shape));
  const outputs = graph.apply(op, inputs, realistic.attributes);
  const seeds = realistic.seeded.map((i) => {
    const value = outputs[i]!;
    return { value, gradient: graph.input(`seed${i}`, value.dtype, value.shape) };
  });

  const drawn = drawInputs(realistic.inputs, realistic.bindings, 1);
  const feeds: Record<string, Tensors[string]> = Object.fromEntries(
    drawn.map((x, i) => [`x${i}`, toHost((inputs[i] as Value).dtype, x)]),
  );
  const given = { ...named("x", inputs), ...named("y", outputs) };
  for (const [i, { gradient }] of seeds.entries()) {
    const seed = zeros(gradient.dtype, evaluateShape(gradient.shape, realistic.bindings));
    feeds[`seed${i}`] = { ...seed, data: seed.data.fill(1 as never) };
  }
  const forward = { name: op.name, inputs: named("x", inputs), outputs: named("y", outputs) };
  const forwardInto = outputsOf(forward, realistic.bindings);
  const forwardMs = await time(engine, forward, { feeds, into: forwardInto }, repeats);

  const seedValues: Value[] = seeds.map(({ gradient }) => gradient);
  const wanted = inputs.filter((value, i) => value.dtype.includes("float") && suite.differentiable(i));
  const found = wanted.length > 0 ? gradients(seeds, wanted) : [];
  const computed = [...new Set(found)].filter((g): g is Value => g !== null && !seedValues.includes(g));
  if (computed.length === 0) return { forwardMs, backwardMs: null };
  const wantedOutputs = named("g", computed);
  // From the saved outputs of the forward program, as in a training step.
  const candidates = { ...given, ...named("seed", seedValues) };
  const backward = {
    name: `${op.name}-backward`,
    inputs: neededInputs(wantedOutputs, candidates),
    outputs: wantedOutputs,
  };
  const backwardInto = outputsOf(backward, realistic.bindings);
  return {
    forwardMs,
    backwardMs: await time(
      engine,
      backward,
      { feeds: { ...feeds, ...forwardInto }, into: backwardInto },
      repeats,
    ),
  };
}

const named = (prefix: string, values: readonly Value[]): Record<string, Value> =>
  Object.fromEntries(values.map((value, i) => [`${prefix}${i}`, value]));

function outputsOf(spec: ProgramSpec, bindings: Readonly<Record<string, number>>): Tensors {
  return Object.fromEntries(
    Object.entries(spec.outputs).map(([name, { dtype, shape }]) => [
      name,
      zeros(dtype, evaluateShape(shape, bindings)),
    ]),
  );
}

/** Median time of the repeats, in milliseconds, after three runs to warm up. */
async function time(
  engine: Engine,
  spec: ProgramSpec,
  { feeds, into }: { readonly feeds: Tensors; readonly into: Tensors },
  repeats: number,
): Promise<number> {
  const program = await engine.compile(spec);
  const times: number[] = [];
  for (let i = -3; i < repeats; i++) {
    const start = performance.now();
    await program.run(feeds, into);
    if (i >= 0) times.push(performance.now() - start);
  }
  await program.release();
  return rounded(median(times), 4);
}
