/** @file Every operation of the list: shape rule, forward, and gradient against float64 references and differences. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { type Seed, gradients } from "../../src/graph/autodiff.ts";
import { Emitter, PLAIN_TARGET } from "../../src/graph/emitter.ts";
import { type AnyOp, Graph, type Value } from "../../src/graph/graph.ts";
import { OPS } from "../../src/graph/ops.ts";
import type { ProgramSpec } from "../../src/graph/program.ts";
import { type Bindings, evaluateShape } from "../../src/graph/shape.ts";
import { Random } from "../../src/random.ts";
import { zeros } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { evaluate } from "../reference/evaluator.ts";
import { type Array64, count } from "../ops/array64.ts";
import { decode, drawInputs, toHost } from "../ops/host-arrays.ts";
import { OP_SUITES } from "../ops/index.ts";
import type { OpCase, OpSuite } from "../ops/op-suite.ts";

const STEP = 1e-5;
const GRADIENT_TOLERANCE = 1e-6;
/** Nodes of ONNX that multiply matrices. */
const PRODUCT = /MatMul|Attention|Conv/;
const engine = createEngine({ threads: 1 });

type Arrays = Readonly<Record<string, Array64>>;

/** One case as a graph: the operation, seeds for its outputs, and the gradients that follow from them. */
function buildCase(op: AnyOp, suite: OpSuite, testCase: OpCase) {
  const graph = new Graph();
  const inputs = testCase.inputs.map(({ dtype, shape }, i) => graph.input(`x${i}`, dtype, shape));
  const outputs = graph.apply(op, inputs, testCase.attributes);
  const isFloat = (value: Value): boolean => value.dtype.includes("float");
  const seeds: Seed[] = testCase.seeded.map((i) => {
    const value = outputs[i]!;
    return { value, gradient: graph.input(`seed${i}`, value.dtype, value.shape) };
  });
  const differentiable =
    op.vjp !== "not-differentiable" && isFloat(outputs[0]!) && inputs.some(isFloat) && testCase.smooth;
  const found = differentiable ? gradients(seeds, inputs) : [];
  const expected = inputs.map((value, i) => isFloat(value) && suite.differentiable(i));
  return { inputs, outputs, seeds: seeds.map(({ gradient }) => gradient), found, expected, differentiable };
}

const named = (prefix: string, values: readonly Value[]): Record<string, Value> =>
  Object.fromEntries(values.map((value, i) => [`${prefix}${i}`, value]));

/** Runs a program in onnxruntime and returns its outputs as float64 arrays. */
async function run(spec: ProgramSpec, feeds: Arrays, bindings: Bindings): Promise<Arrays> {
  const program = await engine.compile(spec);
  const host = Object.entries(spec.inputs).map(([name, { dtype }]) => [name, toHost(dtype, feeds[name]!)]);
  const into = Object.entries(spec.outputs).map(
    ([name, { dtype, shape }]) => [name, zeros(dtype, evaluateShape(shape, bindings))] as const,
  );
  await program.run(Object.fromEntries(host), Object.fromEntries(into));
  await program.release();
  return Object.fromEntries(
    into.map(([name, { dtype, shape, data }]) => [name, { shape, data: decode(dtype, data) }]),
  );
}

function assertClose(actual: Array64, expected: Array64, tolerance: number, what: string): void {
  assert.deepEqual(actual.shape, expected.shape, `shape of ${what}`);
  for (const [i, value] of expected.data.entries()) {
    const found = actual.data[i]!;
    const error = Math.abs(found - value);
    assert.ok(error <= tolerance * (1 + Math.abs(value)), `${what}[${i}] is ${found}, expected ${value}`);
  }
}

/** Derivatives of the sum of <seed, output> for one input by central differences in float64. */
function centralDifferences(
  suite: OpSuite,
  { attributes, bindings, seeded }: OpCase,
  inputs: readonly Array64[],
  which: number,
  seeds: readonly Array64[],
): Array64 {
  const x = inputs[which]!;
  const along = (place: number, by: number): number => {
    const moved = { shape: x.shape, data: x.data.slice() };
    moved.data[place] = x.data[place]! + by;
    const outputs = suite.reference(inputs.with(which, moved), attributes, bindings);
    let sum = 0;
    for (const [k, { data }] of seeds.entries()) {
      const y = outputs[seeded[k]!]!.data;
      for (const [i, value] of y.entries()) sum += value * data[i]!;
    }
    return sum;
  };
  return {
    shape: x.shape,
    data: x.data.map((_, place) => (along(place, STEP) - along(place, -STEP)) / (2 * STEP)),
  };
}

for (const op of OPS) {
  const suite = OP_SUITES.find((s) => s.op === op.name);
  describe(`operation ${op.name}`, () => {
    test("has a suite with cases", () => {
      assert.ok(suite, `Cannot test ${op.name}: test/ops has no suite for it`);
      assert.ok(suite.cases.length > 0);
    });
    if (!suite) return;
    test("has a case that holds its gradient, if there is one", () => {
      const isHeld = suite.cases.some((testCase) => buildCase(op, suite, testCase).differentiable);
      assert.equal(isHeld, op.vjp !== "not-differentiable");
    });
    test("takes what the benchmark runs", () => {
      assert.equal(buildCase(op, suite, suite.realistic).outputs.length > 0, true);
    });
    test("says how much it multiplies, if its nodes do", () => {
      const { realistic } = suite;
      const { node } = buildCase(op, suite, realistic).outputs[0]!;
      assert.ok(node);
      const emitter = new Emitter(PLAIN_TARGET);
      op.emit(node, emitter);
      const products = emitter.nodes.filter(({ opType }) => PRODUCT.test(opType));
      const count = op.multiplications?.(node, realistic.bindings).count ?? 0;
      assert.equal(count > 0, products.length > 0, products.map(({ opType }) => opType).join(", "));
    });
    for (const { name, inputs, attributes } of suite.rejected) {
      test(`refuses ${name}`, () => {
        const graph = new Graph();
        const values = inputs.map(({ dtype, shape }, i) => graph.input(`x${i}`, dtype, shape));
        assert.throws(() => graph.apply(op, values, attributes), /^(Range|Type)Error: Cannot /);
      });
    }
    for (const [caseIndex, testCase] of suite.cases.entries()) {
      const { bindings, tolerance } = testCase;
      test(`${testCase.name}: shapes, forward and gradient agree with the reference`, async () => {
        const { inputs, outputs, seeds, found, expected, differentiable } = buildCase(op, suite, testCase);
        const drawn = drawInputs(testCase.inputs, bindings, 1 + caseIndex);
        const reference = suite.reference(drawn, testCase.attributes, bindings);
        assert.deepEqual(
          outputs.map((value) => evaluateShape(value.shape, bindings)),
          reference.map((y) => y.shape),
        );
        const feeds: Arrays = Object.fromEntries(drawn.map((x, i) => [`x${i}`, x]));
        const forward = await run(
          { name: op.name, inputs: named("x", inputs), outputs: named("y", outputs) },
          feeds,
          bindings,
        );
        for (const [i, y] of reference.entries()) {
          assertClose(forward[`y${i}`]!, y, tolerance, `y${i}`);
        }
        if (!differentiable) return;

        const random = new Random(100 + caseIndex);
        const seedValues = testCase.seeded.map((i): Array64 => {
          const { shape } = reference[i]!;
          return { shape, data: new Float64Array(count(shape)).map(() => Math.fround(random.normal())) };
        });
        assert.deepEqual(
          found.map((g) => g !== null),
          expected,
        );
        // Equal gradients are one value, and one may be a seed itself: a program gives each value once.
        const computed = [...new Set(found)].filter((g): g is Value => g !== null && !seeds.includes(g));
        const spec = {
          name: `${op.name}-gradient`,
          inputs: { ...named("x", inputs), ...named("seed", seeds) },
          outputs: named("g", computed),
        };
        const allFeeds: Arrays = {
          ...feeds,
          ...Object.fromEntries(seedValues.map((value, i) => [`seed${i}`, value])),
        };
        const exact = evaluate(spec, allFeeds, bindings);
        for (const [i, gradient] of found.entries()) {
          if (!gradient) continue;
          const value = seedValues[seeds.indexOf(gradient)] ?? exact[`g${computed.indexOf(gradient)}`];
          const differences = centralDifferences(suite, testCase, drawn, i, seedValues);
          assertClose(value!, differences, GRADIENT_TOLERANCE, `gradient of x${i}`);
        }
        if (computed.length === 0) return;
        const single = await run(spec, allFeeds, bindings);
        // Gradients pass through more roundings than the function itself.
        for (const [name, value] of Object.entries(exact)) {
          assertClose(single[name]!, value, Math.max(8 * tolerance, 1e-5), name);
        }
      });
    }
  });
}

test("each operation that a file exports is of the list", async () => {
  const folder = new URL("../../src/graph/ops/", import.meta.url);
  const listed = new Set<unknown>(OPS);
  const names = readdirSync(folder, { recursive: true }).map((name) => String(name).replaceAll("\\", "/"));
  let numFound = 0;
  for (const name of names.filter((each) => each.endsWith(".ts") && !each.endsWith(".test.ts"))) {
    const exported = (await import(new URL(name, folder).href)) as Readonly<Record<string, unknown>>;
    for (const [key, value] of Object.entries(exported)) {
      if (typeof value !== "object" || value === null || !("emit" in value)) continue;
      assert.ok(listed.has(value), `Cannot test ${key} of ${name}: add it to src/graph/ops.ts`);
      numFound++;
    }
  }
  assert.ok(numFound > 50, `${numFound} found`);
});

test("each suite belongs to an operation of the list", () => {
  const listed = new Set(OPS.map((op) => op.name));
  assert.deepEqual(
    OP_SUITES.map((suite) => suite.op).filter((name) => !listed.has(name)),
    [],
  );
});
