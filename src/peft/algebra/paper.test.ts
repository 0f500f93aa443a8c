/** @file The paper's operators against a second, plain evaluation of random expressions, term by term as they are written. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { Random } from "../../random.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { findMethod } from "../methods.ts";
import type { CombineOptions } from "./combinations.ts";
import { type Combined, combineWeights } from "./combine.ts";
import { parseExpression } from "./expression.ts";
import type { AdapterWeights } from "./plan.ts";

const [RANK, INPUTS, OUTPUTS, SCALE] = [2, 3, 4, 0.5];
const SITE = "layers.0.q_proj";
const TRAINED = "norm.weight";

function draw(shape: readonly number[], random: Random, mean = 0): HostTensor<"float32"> {
  const data = new Float32Array(shape.reduce((a, b) => a * b)).map(() => mean + random.normal());
  return hostTensor("float32", shape, data);
}

const start = draw([OUTPUTS], new Random(0));

function lora(seed: number): AdapterWeights {
  const random = new Random(seed);
  const tensors = {
    "lora_A.weight": draw([RANK, INPUTS], random),
    "lora_B.weight": draw([OUTPUTS, RANK], random),
  };
  const site = { rank: RANK, scale: SCALE, dropout: 0, init: "default", ownBias: false };
  return {
    method: findMethod("lora"),
    options: { rank: RANK, alpha: RANK * SCALE, modulesToSave: null },
    sites: new Map([[SITE, { tensors, options: site }]]),
    base: new Map([[TRAINED, draw([OUTPUTS], random)]]),
    frozen: new Map(),
    storedTransposed: false,
    fisher: null,
  };
}

function ia3(seed: number): AdapterWeights {
  const tensors = { ia3_l: draw([OUTPUTS, 1], new Random(seed), 1) };
  return {
    ...lora(seed),
    method: findMethod("ia3"),
    options: { feedforwardModules: null, modulesToSave: null },
    sites: new Map([[SITE, { tensors, options: { feedforward: false } }]]),
    base: new Map(),
  };
}

const NAMES = ["a", "b", "c"];
const [LORAS, SCALERS] = [lora, ia3].map((make) => new Map(NAMES.map((name, i) => [name, make(i + 1)]))) as [
  Map<string, AdapterWeights>,
  Map<string, AdapterWeights>,
];

function tensorsOf(adapter: AdapterWeights): Record<string, number[]> {
  const own = Object.entries(adapter.sites.get(SITE)?.tensors ?? {});
  return Object.fromEntries([...own, ...adapter.base].map(([name, { data }]) => [name, [...data]]));
}

/** scale · B A, by rows; what each output does to each input. */
function product(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: OUTPUTS * INPUTS }, (_, i) => {
    const [row, column] = [Math.floor(i / INPUTS), i % INPUTS];
    let sum = 0;
    for (let r = 0; r < RANK; r++) sum += b[row * RANK + r]! * a[r * INPUTS + column]!;
    return SCALE * sum;
  });
}

function assertNear(actual: readonly number[], expected: readonly number[]): void {
  const size = Math.hypot(1, ...expected);
  const apart = Math.hypot(...expected.map((value, i) => value - actual[i]!));
  assert.ok(apart < 1e-5 * size, `${apart} apart, of size ${size}`);
}

/** An expression as it is generated. */
type Node = string | { readonly terms: readonly (readonly [number, Node])[] };
/** What an expression stands for: numbers that a weight multiplies, and those that ⊖ turns round too. */
interface Module {
  readonly kept: readonly number[];
  readonly turned: readonly number[];
}

const weight = fc.integer({ min: 1, max: 20 }).chain((w) => fc.constantFrom(w / 10, -w / 10));
const { sum } = fc.letrec<{ node: Node; sum: Node }>((tie) => ({
  node: fc.oneof({ depthSize: "small" }, fc.constantFrom(...NAMES), tie("sum")),
  sum: fc.array(fc.tuple(weight, tie("node")), { minLength: 2, maxLength: 3 }).map((terms) => ({ terms })),
}));
const whole = fc.oneof(fc.constantFrom<Node>(...NAMES), sum);

function textOf(node: Node): string {
  if (typeof node === "string") return node;
  return node.terms.map(([w, of]) => `${w}*${typeof of === "string" ? of : `(${textOf(of)})`}`).join(" + ");
}

function combine(
  text: string,
  all: ReadonlyMap<string, AdapterWeights>,
  options: Partial<CombineOptions> = {},
): Promise<Combined> {
  const used = NAMES.filter((name) => text.includes(name));
  const adapters = new Map(used.map((name) => [name, all.get(name)!]));
  return combineWeights(
    parseExpression(text, used),
    adapters,
    { type: "paper", ...options },
    { startOf: async () => start },
  );
}

/** Adds up modules times numbers, ⊖ those of negative weight. */
function addUp(terms: readonly (readonly [number, Module])[], divisor: number): Module {
  const parts = terms.map(([w, { kept, turned }]) => ({
    kept: kept.map((value) => (Math.abs(w) / divisor) * value),
    turned: turned.map((value) => (w / divisor) * value),
  }));
  const total = (lists: readonly (readonly number[])[]): number[] =>
    (lists[0] ?? []).map((_, i) => lists.reduce((size, list) => size + list[i]!, 0));
  return { kept: total(parts.map((part) => part.kept)), turned: total(parts.map((part) => part.turned)) };
}

/** Evaluates a sum by the rule, from the innermost parentheses outwards. */
function evaluate(
  node: Node,
  modules: Readonly<Record<string, Module>>,
  isNormalized: boolean,
  isOutermost = true,
): Module {
  if (typeof node === "string") return modules[node]!;
  const { terms } = node;
  const isAverage = isNormalized && (isOutermost || terms.every(([w]) => w > 0));
  const divisor = isAverage ? terms.reduce((size, [w]) => size + Math.abs(w), 0) : 1;
  return addUp(
    terms.map(([w, of]) => [w, evaluate(of, modules, isNormalized, false)] as const),
    divisor,
  );
}

describe("--type paper", () => {
  for (const normalize of ["on", "off"] as const) {
    for (const negate of ["A", "B"] as const) {
      test(`of low-rank adapters is what the rule says: normalize ${normalize}, negate ${negate}`, async () => {
        await fc.assert(
          fc.asyncProperty(weight, whole, async (factor, node) => {
            const text = `${factor}*(${textOf(node)})`;
            const found = tensorsOf(await combine(text, LORAS, { normalize, negate }));
            const modules = Object.fromEntries(
              [...LORAS].map(([name, adapter]): [string, Module] => {
                const { "lora_A.weight": a, "lora_B.weight": b } = tensorsOf(adapter);
                return [name, negate === "A" ? { kept: b!, turned: a! } : { kept: a!, turned: b! }];
              }),
            );
            const { kept, turned } = evaluate(node, modules, normalize === "on");
            const change = negate === "A" ? product(turned, kept) : product(kept, turned);
            assertNear(
              product(found["lora_A.weight"]!, found["lora_B.weight"]!),
              change.map((value) => factor * value),
            );
          }),
          { numRuns: 60 },
        );
      });
    }

    test(`of changes that are linear is what the rule says: normalize ${normalize}`, async () => {
      await fc.assert(
        fc.asyncProperty(weight, whole, async (factor, node) => {
          const text = `${factor}*(${textOf(node)})`;
          for (const [all, name, from] of [
            [SCALERS, "ia3_l", new Float32Array(OUTPUTS).fill(1)],
            [LORAS, TRAINED, start.data],
          ] as const) {
            const found = tensorsOf(await combine(text, all, { normalize }))[name]!;
            const modules = Object.fromEntries(
              [...all].map(([key, adapter]): [string, Module] => {
                return [key, { kept: [], turned: tensorsOf(adapter)[name]!.map((v, i) => v - from[i]!) }];
              }),
            );
            const { turned } = evaluate(node, modules, normalize === "on");
            assertNear(
              found,
              turned.map((value, i) => from[i]! + factor * value),
            );
          }
        }),
        { numRuns: 60 },
      );
    });
  }

  test("a number before parentheses multiplies the change of what is in them by just that", async () => {
    const changeOf = async (text: string): Promise<number[]> => {
      const { "lora_A.weight": a, "lora_B.weight": b } = tensorsOf(await combine(text, LORAS));
      return product(a!, b!);
    };
    for (const inner of ["a + b", "a - b", "0.9*a + 0.1*(b - c)"]) {
      const change = await changeOf(inner);
      for (const factor of [0.5, 2, -0.7]) {
        assertNear(
          await changeOf(`${factor}*(${inner})`),
          change.map((value) => factor * value),
        );
      }
    }
  });

  test("⊕ leaves out what has no weight, in any order and grouping; ⊖ turns the effect round, and back", async () => {
    for (const [all, name] of [
      [LORAS, "lora_B.weight"],
      [LORAS, "lora_A.weight"],
      [SCALERS, "ia3_l"],
    ] as const) {
      const valuesOf = async (text: string): Promise<number[]> => tensorsOf(await combine(text, all))[name]!;
      const own = tensorsOf(all.get("a")!)[name]!;
      assert.deepEqual(await valuesOf("1*a + 0*b"), own);
      assert.deepEqual(await valuesOf("0*b + 1*a"), own);
      assertNear(await valuesOf("0.3*a + 0.7*b"), await valuesOf("0.7*b + 0.3*a"));
      const average = await valuesOf("a + b + c");
      assertNear(await valuesOf("2*(a + b) + c"), average);
      assertNear(await valuesOf("a + 2*(b + c)"), average);
      assert.deepEqual(await valuesOf("-(-a)"), own);
      // As many numbers as one adapter, so it costs as much.
      assert.equal(average.length, own.length);
    }
    const { "lora_A.weight": a, "lora_B.weight": b } = tensorsOf(LORAS.get("a")!);
    const turned = tensorsOf(await combine("-a", LORAS));
    const [change, opposite] = [product(a!, b!), product(turned["lora_A.weight"]!, turned["lora_B.weight"]!)];
    assert.deepEqual(
      opposite.map((value) => -value),
      change,
    );
    const scale = tensorsOf(SCALERS.get("a")!)["ia3_l"]!;
    assertNear(
      tensorsOf(await combine("-a", SCALERS))["ia3_l"]!,
      scale.map((value) => 2 - value),
    );
    assertNear(
      tensorsOf(await combine("-0.7*a", SCALERS))["ia3_l"]!,
      scale.map((value) => 1 - 0.7 * (value - 1)),
    );
    assertNear(tensorsOf(await combine("0.5*a - 0.5*a", SCALERS))["ia3_l"]!, [1, 1, 1, 1]);
  });

  test("tells the least cosine between the A's of two adapters that have a weight", async () => {
    const cosine = (one: string, other: string): number => {
      const [a, b] = [one, other].map((name) => tensorsOf(LORAS.get(name)!)["lora_A.weight"]!);
      return a!.reduce((sum, value, i) => sum + value * b![i]!, 0) / (Math.hypot(...a!) * Math.hypot(...b!));
    };
    const least = Math.min(cosine("a", "b"), cosine("a", "c"), cosine("b", "c"));
    const { startCosine: found } = await combine("a + b + c", LORAS);
    assert.ok(found && Math.abs(found.value - least) < 1e-6);
    assert.ok(Math.abs(cosine(...found.names) - least) < 1e-6);
    assert.deepEqual((await combine("a + 0*b + c", LORAS)).startCosine?.names, ["a", "c"]);
    assert.equal((await combine("2*a", LORAS)).startCosine, null);
    assert.equal((await combine("a + b", LORAS, { type: "cat" })).startCosine, null);
    assert.equal((await combine("a + b", SCALERS)).startCosine, null);
  });

  test("θ + λ(θ − τ), not normalised, is the published recipe", async () => {
    const lambda = 0.4;
    const text = `a + ${lambda}*(a - b)`;
    const [own, toxic] = [tensorsOf(LORAS.get("a")!), tensorsOf(LORAS.get("b")!)];
    const recipe = (name: string, sign: 1 | -1): number[] =>
      own[name]!.map((value, i) => value + lambda * (value + sign * toxic[name]![i]!));
    for (const [negate, inA, inB] of [
      ["A", -1, 1],
      ["B", 1, -1],
    ] as const) {
      const found = tensorsOf(await combine(text, LORAS, { normalize: "off", negate }));
      assertNear(found["lora_A.weight"]!, recipe("lora_A.weight", inA));
      assertNear(found["lora_B.weight"]!, recipe("lora_B.weight", inB));
      // What is linear is the recipe as it stands: its weights sum to 1, so the start cancels.
      assertNear(found[TRAINED]!, recipe(TRAINED, -1));
    }
    const [scaler, toxicScaler] = [tensorsOf(SCALERS.get("a")!), tensorsOf(SCALERS.get("b")!)];
    assertNear(
      tensorsOf(await combine(text, SCALERS, { normalize: "off" }))["ia3_l"]!,
      scaler["ia3_l"]!.map((value, i) => value + lambda * (value - toxicScaler["ia3_l"]![i]!)),
    );
  });
});
