/**
 * @file Experts in one program, or each as a program of its own that the host runs on the rows that chose it: which is faster?
 *
 * Both compute only the rows that chose an expert. Counted is processor time, which other jobs disturb less than the clock.
 */
import { gradients } from "../src/graph/autodiff.ts";
import { type Value } from "../src/graph/graph.ts";
import { add, div, mul } from "../src/graph/ops/pointwise/elementwise.ts";
import { matmul } from "../src/graph/ops/products/matmul.ts";
import { reduceSum } from "../src/graph/ops/shapes/reduce-expand.ts";
import { silu } from "../src/graph/ops/pointwise/silu.ts";
import { softmax } from "../src/graph/ops/reductions/softmax.ts";
import { neededInputs } from "../src/graph/program.ts";
import { PartGraph } from "../src/models/graphs/part-graph.ts";
import { PLAIN_PART } from "../src/models/graphs/part-options.ts";
import type { Projector } from "../src/models/graphs/site-graph.ts";
import { experts } from "../src/nn/experts.ts";
import { gatedMlp } from "../src/nn/gated-mlp.ts";
import { Random } from "../src/random.ts";
import { createEngine } from "../src/runtime/create-engine.ts";
import type { Engine, Program } from "../src/runtime/engine.ts";
import { type HostTensor, type Tensors, hostTensor, zeros } from "../src/runtime/host-tensor.ts";
import { defineBenchmark } from "./bench.ts";
import { interleave } from "./harness/interleave.ts";
import { ratioOf, rounded, showRatio, spread } from "./harness/statistics.ts";
import { processorMs } from "../src/train/power/processor-ms.ts";

interface Sizes {
  readonly numExperts: number;
  readonly numChosen: number;
  readonly width: number;
  readonly inner: number;
  readonly rank: number;
}
type F32 = HostTensor<"float32">;
type Weights = Record<string, F32>;
/** One pass: y, and dx where it runs backward. */
type Pass = (x: F32, dy: F32, isBackward: boolean) => Promise<{ y: F32; dx: F32 | null }>;

/** Every projection with LoRA. */
const withLora =
  (rank: number): Projector =>
  (site, x) => {
    const { inFeatures, outFeatures } = site.spec;
    const low = matmul(x, site.input("A", [rank, inFeatures], "float32"), { transB: true });
    return add(
      site.project(x),
      matmul(low, site.input("B", [outFeatures, rank], "float32"), { transB: true }),
    );
  };

function partWith({ rank }: Sizes): PartGraph {
  return new PartGraph({ ...PLAIN_PART, projector: withLora(rank) });
}

function draw(inputs: Readonly<Record<string, Value>>, random: Random, into: Weights): void {
  for (const [name, { shape }] of Object.entries(inputs)) {
    into[name] ??= zeros("float32", shape as number[]);
    const { data } = into[name];
    for (let i = 0; i < data.length; i++) data[i] = 0.05 * random.normal();
  }
}

/** The programs of y = f(x): forward, and backward from dy, which computes all again. */
async function compileBoth(
  engine: Engine,
  part: PartGraph,
  x: Value,
  y: Value,
): Promise<{ forward: Program; backward: Program; outputs: Weights }> {
  const given = { x, ...part.inputs() };
  const dy = part.graph.input("dy", "float32", y.shape);
  const names = Object.keys(part.adapter);
  const [dx, ...found] = gradients([{ value: y, gradient: dy }], [x, ...Object.values(part.adapter)]);
  const own = names.flatMap((name, i) => (found[i] ? [[`gradient:${name}`, found[i]] as const] : []));
  const outputs = { dx: dx!, ...Object.fromEntries(own) };
  const compile = (outs: Record<string, Value>, ins: Record<string, Value>): Promise<Program> =>
    engine.compile({ name: "experts", inputs: neededInputs(outs, ins), outputs: outs });
  return {
    forward: await compile({ y }, given),
    backward: await compile(outputs, { ...given, dy }),
    outputs: Object.fromEntries(own.map(([name, { shape }]) => [name, zeros("float32", shape as number[])])),
  };
}

/** All in one program, as blocks are built. */
async function inGraph(engine: Engine, sizes: Sizes, weights: Weights, random: Random): Promise<Pass> {
  const part = partWith(sizes);
  const x = part.graph.input("x", "float32", ["B", "T", sizes.width]);
  const expert = { intermediateSize: sizes.inner, activation: silu, bias: false };
  const y = experts(part, x, "", { ...sizes, normalizes: true, expert });
  draw({ ...part.tensors, ...part.adapter }, random, weights);
  const { forward, backward, outputs } = await compileBoth(engine, part, x, y);
  return async (rows, dy, isBackward) => {
    const shape = [1, ...rows.shape];
    const [input, out] = [hostTensor("float32", shape, rows.data), zeros("float32", shape)];
    await forward.run({ ...weights, x: input }, { y: out });
    if (!isBackward) return { y: out, dx: null };
    const dx = zeros("float32", shape);
    await backward.run(
      { ...weights, x: input, dy: hostTensor("float32", shape, dy.data) },
      { ...outputs, dx },
    );
    return { y: out, dx };
  };
}

/** Rows of each expert, and the weight of each choice, as the host finds them. */
function route(p: Float32Array, numRows: number, { numExperts: E, numChosen }: Sizes) {
  const rowsOf: number[][] = Array.from({ length: E }, () => []);
  const [chosen, weights] = [new Float32Array(numRows * E), new Float32Array(numRows * E)];
  for (let row = 0; row < numRows; row++) {
    const own = p.subarray(row * E, (row + 1) * E);
    const best = [...own.keys()].sort((a, b) => own[b]! - own[a]!).slice(0, numChosen);
    const total = best.reduce((sum, e) => sum + own[e]!, 0);
    for (const e of best) {
      rowsOf[e]!.push(row);
      chosen[row * E + e] = 1;
      weights[row * E + e] = own[e]! / total;
    }
  }
  return { rowsOf, chosen, weights };
}

/** The router as programs: scores, and the gradients of the shares that the chosen have. */
async function compileRouter(engine: Engine, sizes: Sizes) {
  const { numExperts: E, width: D } = sizes;
  const router = partWith(sizes);
  const x = router.graph.input("x", "float32", ["M", D]);
  const p = softmax(router.linear("gate", x, E, { role: "router" }));
  const chosen = router.graph.input("chosen", "float32", ["M", E]);
  const shares = div(p, reduceSum(mul(p, chosen), [1]));
  const dShares = router.graph.input("dShares", "float32", ["M", E]);
  const ofGate = Object.values(router.adapter);
  const [dx, ...dGate] = gradients([{ value: shares, gradient: dShares }], [x, ...ofGate]) as Value[];
  const given = { x, chosen, dShares, ...router.inputs() };
  const outputs = { dx: dx!, ...Object.fromEntries(dGate.map((value, i) => [`d${i}`, value])) };
  const compile = (name: string, outs: Record<string, Value>): Promise<Program> =>
    engine.compile({ name, inputs: neededInputs(outs, given), outputs: outs });
  return {
    choose: await compile("router", { p }),
    back: await compile("router-backward", outputs),
    outputs: Object.fromEntries(dGate.map(({ shape }, i) => [`d${i}`, zeros("float32", shape as number[])])),
  };
}

/** One expert as programs, and what they read of each. */
async function compileExpert(engine: Engine, sizes: Sizes, weights: Weights) {
  const { numExperts, width, inner } = sizes;
  const part = partWith(sizes);
  const rows = part.graph.input("x", "float32", ["N", width]);
  const y = gatedMlp(part, rows, "", { intermediateSize: inner, activation: silu, bias: false });
  const names = Object.keys({ ...part.tensors, ...part.adapter });
  const feeds = Array.from({ length: numExperts }, (_, e): Tensors =>
    Object.fromEntries(names.map((name) => [name, weights[`experts.${e}.${name}`]!])),
  );
  return { ...(await compileBoth(engine, part, rows, y)), feeds };
}

/** Rows of a matrix, each with a factor. */
function take(from: F32, which: readonly number[], factor: (row: number) => number): F32 {
  const width = from.shape[1]!;
  const taken = zeros("float32", [which.length, width]);
  for (const [i, row] of which.entries()) {
    const by = factor(row);
    for (let c = 0; c < width; c++) taken.data[i * width + c] = by * from.data[row * width + c]!;
  }
  return taken;
}

/** Adds rows to those of a matrix, each with a factor. */
function addRows(into: F32, rows: F32, which: readonly number[], factor: (row: number) => number): void {
  const width = into.shape[1]!;
  for (const [i, row] of which.entries()) {
    const by = factor(row);
    for (let c = 0; c < width; c++) into.data[row * width + c]! += by * rows.data[i * width + c]!;
  }
}

/** The router and one expert as programs; rows are taken and added up here. */
async function onHost(engine: Engine, sizes: Sizes, weights: Weights): Promise<Pass> {
  const { numExperts: E, width: D } = sizes;
  const router = await compileRouter(engine, sizes);
  const expert = await compileExpert(engine, sizes, weights);
  return async (x, dy, isBackward) => {
    const numRows = x.shape[0]!;
    const scores = zeros("float32", [numRows, E]);
    await router.choose.run({ ...weights, x }, { p: scores });
    const { rowsOf, chosen, weights: shares } = route(scores.data, numRows, sizes);
    const [out, dx] = [zeros("float32", [numRows, D]), zeros("float32", [numRows, D])];
    const dShares = zeros("float32", [numRows, E]);
    for (const [e, which] of rowsOf.entries()) {
      if (which.length === 0) continue;
      const shareOf = (row: number): number => shares[row * E + e]!;
      const own = take(x, which, () => 1);
      const made = zeros("float32", own.shape);
      await expert.forward.run({ ...expert.feeds[e], x: own }, { y: made });
      addRows(out, made, which, shareOf);
      for (const [i, row] of which.entries()) {
        let slope = 0;
        for (let c = 0; c < D; c++) slope += dy.data[row * D + c]! * made.data[i * D + c]!;
        dShares.data[row * E + e] = slope;
      }
      if (!isBackward) continue;
      const dOwn = zeros("float32", own.shape);
      const dMade = take(dy, which, shareOf);
      await expert.backward.run({ ...expert.feeds[e], x: own, dy: dMade }, { ...expert.outputs, dx: dOwn });
      addRows(dx, dOwn, which, () => 1);
    }
    if (!isBackward) return { y: out, dx: null };
    const ofRouter = zeros("float32", [numRows, D]);
    const feeds = { ...weights, x, chosen: hostTensor("float32", [numRows, E], chosen), dShares };
    await router.back.run(feeds, { ...router.outputs, dx: ofRouter });
    for (let i = 0; i < dx.data.length; i++) dx.data[i]! += ofRouter.data[i]!;
    return { y: out, dx };
  };
}

function largest(a: F32 | null, b: F32 | null): number {
  let [most, size] = [0, 0];
  for (const [i, value] of (a?.data ?? []).entries()) {
    most = Math.max(most, Math.abs(value - b!.data[i]!));
    size = Math.max(size, Math.abs(value));
  }
  return size === 0 ? 0 : most / size;
}

const CASES = [
  { what: "training, 256 tokens", numRows: 256, isBackward: true, repeats: 2 },
  { what: "training, 1024 tokens", numRows: 1024, isBackward: true, repeats: 1 },
  { what: "reading, 256 tokens", numRows: 256, isBackward: false, repeats: 4 },
  { what: "writing, 1 token", numRows: 1, isBackward: false, repeats: 50 },
];

/** Times both forms on one case, and how far apart their results are. */
async function compare(
  forms: { readonly graph: Pass; readonly host: Pass },
  { what, numRows, isBackward, repeats }: (typeof CASES)[number],
  { width, rounds, random }: { readonly width: number; readonly rounds: number; readonly random: Random },
) {
  const tensor = (): F32 =>
    hostTensor(
      "float32",
      [numRows, width],
      Float32Array.from({ length: numRows * width }, () => random.normal()),
    );
  const [x, dy] = [tensor(), tensor()];
  const [own, other] = [await forms.graph(x, dy, isBackward), await forms.host(x, dy, isBackward)];
  const timed = (pass: Pass) => async (): Promise<number> => {
    const startMs = processorMs();
    for (let i = 0; i < repeats; i++) await pass(x, dy, isBackward);
    return (processorMs() - startMs) / repeats;
  };
  const { graph, host } = await interleave(
    rounds,
    { graph: timed(forms.graph), host: timed(forms.host) },
    { say: () => {} },
  );
  return {
    what,
    graph_ms: rounded(spread(graph).median, 2),
    host_ms: rounded(spread(host).median, 2),
    host_over_graph: showRatio(ratioOf(host, graph)),
    largest_difference: Math.max(largest(own.y, other.y), largest(own.dx, other.dx)),
  };
}

export const benchmark = defineBenchmark({
  question:
    "Are experts faster in one program, or each as a program that the host runs on the rows that chose it?",
  flags: {
    experts: { value: 64, help: "experts of a block" },
    chosen: { value: 8, help: "experts of a token" },
    width: { value: 512, help: "width of the model" },
    inner: { value: 256, help: "width inside an expert" },
    rank: { value: 8, help: "rank of LoRA on every expert" },
    rounds: { value: 7, help: "rounds, in which the forms take turns" },
  },
  run: async ({ experts: numExperts, chosen: numChosen, width, inner, rank, rounds }, context) => {
    const sizes: Sizes = { numExperts, numChosen, width, inner, rank };
    const engine = createEngine({ threads: 1 });
    const random = new Random(1);
    const weights: Weights = {};
    const forms = {
      graph: await inGraph(engine, sizes, weights, random),
      host: await onHost(engine, sizes, weights),
    };
    const results = [];
    for (const each of CASES) {
      context.say(each.what);
      results.push(await compare(forms, each, { width, rounds, random }));
    }
    return {
      parameters: { ...sizes, rounds },
      table: {
        head: ["pass", "one program, ms", "host, ms", "host / one program", "largest difference"],
        rows: results.map((r) => [
          r.what,
          String(r.graph_ms),
          String(r.host_ms),
          r.host_over_graph,
          r.largest_difference.toExponential(1),
        ]),
      },
      results: { cases: results },
    };
  },
});
