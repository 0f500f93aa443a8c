/** @file What sums of factors are beside sums of changes: by which factor ⊖ negates, and by whether adapters began alike. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Matrix } from "ml-matrix";
import { Random } from "../../random.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { findMethod } from "../methods.ts";
import type { CombineOptions } from "./combinations.ts";
import { combineWeights } from "./combine.ts";
import { parseExpression } from "./expression.ts";
import type { AdapterWeights } from "./plan.ts";

const [WIDTH, RANK] = [64, 8];
const SITE = "layers.0.q_proj";
/** How far an adapter trained away from where another stands, of the other's numbers. */
const DRIFT = 0.05;

/** A [R, in] and B [out, R] of an adapter with scale 1. */
interface Factors {
  readonly a: Matrix;
  readonly b: Matrix;
}

function draw(rows: number, columns: number, random: Random): Matrix {
  return Matrix.from1DArray(
    rows,
    columns,
    Float32Array.from({ length: rows * columns }, () => random.normal()),
  );
}

const drawFactors = (seed: number): Factors => {
  const random = new Random(seed);
  return { a: draw(RANK, WIDTH, random), b: draw(WIDTH, RANK, random) };
};

function adapterOf({ a, b }: Factors): AdapterWeights {
  const tensor = (matrix: Matrix) =>
    hostTensor("float32", [matrix.rows, matrix.columns], Float32Array.from(matrix.to1DArray()));
  const tensors = { "lora_A.weight": tensor(a), "lora_B.weight": tensor(b) };
  const options = { rank: RANK, scale: 1, dropout: 0, init: "default", ownBias: false };
  return {
    method: findMethod("lora"),
    options: { rank: RANK, alpha: RANK, modulesToSave: null },
    sites: new Map([[SITE, { tensors, options }]]),
    base: new Map(),
    frozen: new Map(),
    storedTransposed: false,
    fisher: null,
  };
}

const changeOf = ({ a, b }: Factors): Matrix => b.mmul(a);

/** ΔW [out, in] of an expression over adapters. */
async function combined(
  text: string,
  adapters: Readonly<Record<string, Factors>>,
  options: Partial<CombineOptions> = {},
): Promise<Matrix> {
  const sum = parseExpression(text, Object.keys(adapters));
  const weights = new Map(Object.entries(adapters).map(([name, factors]) => [name, adapterOf(factors)]));
  const { sites } = await combineWeights(sum, weights, { type: "paper", ...options }, { startOf: null });
  const { tensors, options: own } = sites.get(SITE)!;
  const matrix = (suffix: string): Matrix => {
    const { shape, data } = tensors[suffix]!;
    return Matrix.from1DArray(shape[0]!, shape[1]!, data);
  };
  return changeOf({ a: matrix("lora_A.weight"), b: matrix("lora_B.weight") }).mul(
    (own as { scale: number }).scale,
  );
}

/** |one - other| over |other|. */
const apart = (one: Matrix, other: Matrix): number => Matrix.sub(one, other).norm() / other.norm();

const [one, other] = [drawFactors(1), drawFactors(2)];

describe("½ a ⊕ ½ (⊖ b), beside half of the difference of the changes", () => {
  const differenceOf = (x: Factors, y: Factors): Matrix => Matrix.sub(changeOf(x), changeOf(y)).mul(0.5);

  test("is noise of its size for adapters from elsewhere, and another noise by the factor that is negated", async () => {
    const [byA, byB] = [
      await combined("a - b", { a: one, b: other }, { negate: "A" }),
      await combined("a - b", { a: one, b: other }, { negate: "B" }),
    ];
    const exact = differenceOf(one, other);
    for (const found of [byA, byB])
      assert.ok(Math.abs(apart(found, exact) - 0.7) < 0.05, `${apart(found, exact)}`);
    const between = apart(byA, byB);
    assert.ok(Math.abs(between - 1.4) < 0.1, `${between}`);
    assert.ok(apart(await combined("0.5*a - 0.5*b", { a: one, b: other }, { type: "cat" }), exact) < 1e-6);
  });

  test("is nearly that where the A's are alike, if B is negated; if A is, they cancel and nothing is left", async () => {
    const near = { a: Matrix.add(one.a, draw(RANK, WIDTH, new Random(3)).mul(DRIFT)), b: other.b };
    const exact = differenceOf(one, near);
    const byB = await combined("a - b", { a: one, b: near });
    assert.ok(apart(byB, exact) < DRIFT, `${apart(byB, exact)}`);
    const byA = await combined("a - b", { a: one, b: near }, { negate: "A" });
    assert.ok(byA.norm() < DRIFT * exact.norm(), `${byA.norm()} of ${exact.norm()}`);
  });
});

test("adapters of projections of other sizes are refused by the projection's name", async () => {
  const random = new Random(6);
  const narrow = { a: draw(RANK, WIDTH / 2, random), b: draw(WIDTH, RANK, random) };
  await assert.rejects(combined("a + b", { a: one, b: narrow }, { type: "cat" }), {
    code: "usage/combine",
    message:
      /"layers\.0\.q_proj" is \[64, 64\] in one and \[64, 32\] in the other, expected adapters of one model/,
  });
});

test("what was averaged in is not taken out again by ⊖, but by the difference of changes", async () => {
  const joined = {
    a: Matrix.add(one.a, other.a).mul(0.5),
    b: Matrix.add(one.b, other.b).mul(0.5),
  };
  const adapters = { joined, b: other };
  const own = changeOf(one);
  const back = await combined("2*joined - b", adapters, { normalize: "off" });
  assert.ok(apart(back, own) > 0.5, `${apart(back, own)}`);
  const halves = await combined("0.5*a + 0.5*b", { a: one, b: other }, { type: "cat" });
  assert.ok(apart(halves, Matrix.add(own, changeOf(other)).mul(0.5)) < 1e-6);
});

test("θ + λ(θ − τ) with A negated makes θ larger by 2λ, adds what τ moved B by and takes out what it moved A by", async () => {
  const lambda = 0.4;
  const moved = {
    a: draw(RANK, WIDTH, new Random(4)).mul(DRIFT),
    b: draw(WIDTH, RANK, new Random(5)).mul(DRIFT),
  };
  const toxic = { a: Matrix.add(one.a, moved.a), b: Matrix.add(one.b, moved.b) };
  const terms: readonly (readonly [number, Matrix])[] = [
    [1 + 2 * lambda, changeOf(one)],
    [lambda, moved.b.mmul(one.a)],
    [-lambda * (1 + 2 * lambda), one.b.mmul(moved.a)],
    [-(lambda ** 2), moved.b.mmul(moved.a)],
  ];
  const expected = Matrix.zeros(WIDTH, WIDTH);
  for (const [factor, term] of terms) expected.add(Matrix.mul(term, factor));
  const text = `t + ${lambda}*(t - x)`;
  const found = await combined(text, { t: one, x: toxic }, { normalize: "off", negate: "A" });
  assert.ok(apart(found, expected) < 1e-5, `${apart(found, expected)}`);
  const exact = await combined(text, { t: one, x: toxic }, { type: "cat" });
  const intended = Matrix.add(changeOf(one), Matrix.sub(changeOf(one), changeOf(toxic)).mul(lambda));
  assert.ok(apart(exact, intended) < 1e-5);
  assert.ok(apart(found, intended) > 0.5, "the published recipe is another sum");
});
