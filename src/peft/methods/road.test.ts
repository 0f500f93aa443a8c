import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Graph, type Value } from "../../graph/graph.ts";
import { Random } from "../../random.ts";
import { evaluate } from "../../../test/reference/evaluator.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { SiteGraph } from "../../models/graphs/site-graph.ts";
import type { PassInput, PassFacts } from "../../nn/pass.ts";
import { linearSite } from "../../../test/tiny/sites.ts";
import type { SitePlace } from "../sites/site.ts";
import {
  type RoadLayout,
  type RoadVariant,
  coefficientValues,
  toAllGroups,
  trainedRange,
} from "./road/coefficients.ts";
import { coefficientsOf } from "./road/numbers.ts";
import { road } from "./road.ts";

const VARIANTS: readonly RoadVariant[] = ["road_1", "road_2", "road_4"];
const PAIRS = ["all", "lower", "upper"] as const;
const LAYOUTS = VARIANTS.flatMap((variant) =>
  PAIRS.flatMap((pairs) =>
    [2, 4, 12].map((groupSize): RoadLayout => ({ variant, pairs, groupSize, width: 36 })),
  ),
);

function draw(layout: RoadLayout, seed: number): { theta: Float32Array; alpha: Float32Array } {
  const random = new Random(seed);
  const [start, end] = trainedRange(layout);
  const values = (mean: number): Float32Array =>
    new Float32Array(end - start).map(() => mean + 0.4 * random.normal());
  return { theta: values(0), alpha: values(1) };
}

describe("coefficientValues() and coefficientsOf()", () => {
  for (const layout of LAYOUTS) {
    test(`agree for ${layout.variant}, ${layout.pairs} pairs, groups of ${layout.groupSize}`, () => {
      const { theta, alpha } = draw(layout, 1);
      const graph = new Graph();
      const inputs = {
        theta: graph.input("theta", "float32", [theta.length]),
        alpha: graph.input("alpha", "float32", [alpha.length]),
      };
      const [c, s] = coefficientValues(inputs.theta, inputs.alpha, layout);
      const wide = (data: Float32Array) => ({ shape: [data.length], data: Float64Array.from(data) });
      const found = evaluate(
        { name: "coefficients", inputs, outputs: { c, s } },
        { theta: wide(theta), alpha: wide(alpha) },
      );
      const expected = coefficientsOf(theta, alpha, layout);
      const half = layout.groupSize / 2;
      for (let k = 0; k < layout.width; k++) {
        const [group, place] = [Math.floor(k / layout.groupSize), k % layout.groupSize];
        const index = layout.variant === "road_1" ? group * half + (place % half) : k;
        assert.ok(Math.abs(found["c"]!.data[index]! - expected.c[k]!) < 1e-6);
        assert.ok(Math.abs(found["s"]!.data[index]! - expected.s[k]!) < 1e-6);
      }
    });
  }

  test("a variant that shares less computes the same from repeated values", () => {
    const [one, two, four] = VARIANTS.map((variant): RoadLayout => ({
      variant,
      pairs: "all",
      groupSize: 4,
      width: 12,
    })) as [RoadLayout, RoadLayout, RoadLayout];
    const { theta, alpha } = draw(one, 2);
    const forTwo = (x: Float32Array): Float32Array =>
      Float32Array.from({ length: 12 }, (_, k) => x[2 * Math.floor(k / 4) + (k % 2)]!);
    const forFour = (x: Float32Array): Float32Array =>
      Float32Array.from({ length: 24 }, (_, i) => x[4 * Math.floor(i / 8) + (i % 4)]!);
    const expected = coefficientsOf(theta, alpha, one);
    assert.deepEqual(coefficientsOf(forTwo(theta), forTwo(alpha), two), expected);
    assert.deepEqual(coefficientsOf(forFour(forTwo(theta)), forFour(forTwo(alpha)), four), expected);
  });

  test("adapters of the two halves of the pairs stand side by side in one of all pairs", () => {
    for (const layout of LAYOUTS.filter(({ pairs }) => pairs === "lower")) {
      const halves = (["lower", "upper"] as const).map((pairs, seed) => {
        const own: RoadLayout = { ...layout, pairs };
        return { own, ...draw(own, seed) };
      });
      const joined = (pick: "theta" | "alpha"): Float32Array =>
        Float32Array.from(halves.flatMap((half) => [...half[pick]]));
      const whole = coefficientsOf(joined("theta"), joined("alpha"), { ...layout, pairs: "all" });
      const [a, b] = halves.map(({ own, theta, alpha }) => coefficientsOf(theta, alpha, own));
      assert.deepEqual(
        whole.c,
        a!.c.map((value, k) => value + b!.c[k]! - 1),
      );
      for (const k of whole.c.keys()) {
        // Where one turns, the other does nothing at all.
        assert.ok((a!.c[k] === 1 && a!.s[k] === 0) || (b!.c[k] === 1 && b!.s[k] === 0));
        assert.equal(whole.s[k], a!.s[k]! + b!.s[k]!);
      }
    }
  });

  test("a file's values of all groups mean what the trained ones mean", () => {
    for (const layout of LAYOUTS) {
      const { theta, alpha } = draw(layout, 3);
      const whole = coefficientsOf(toAllGroups(theta, 0, layout), toAllGroups(alpha, 1, layout), {
        ...layout,
        pairs: "all",
      });
      assert.deepEqual(whole, coefficientsOf(theta, alpha, layout));
    }
  });
});

describe("the width of RoAd's groups", () => {
  const site = (name: string, outFeatures: number): SiteSpec => linearSite(name, 8, outFeatures, false);
  const groupAt = (options: object, sites: readonly SiteSpec[], at = 0): number => {
    const spec = sites[at]!;
    const place: SitePlace = { path: `layers.0.${spec.name}`, spec, storage: "f32", groupSize: null, sites };
    return (road.configure(road.options.parse(options))(place) as RoadLayout).groupSize;
  };

  test("is the largest up to 64 that fits all modules, unless it is given", () => {
    assert.equal(groupAt({}, [site("q", 576), site("k", 192), site("up", 1536)]), 64);
    assert.equal(groupAt({}, [site("q", 32), site("k", 16), site("up", 72)]), 8);
    assert.equal(groupAt({}, [site("q", 32), site("k", 16), site("up", 72)], 2), 8);
    assert.equal(groupAt({}, [site("q", 96)]), 48);
    assert.equal(groupAt({ pairs: "lower" }, [site("q", 64)]), 32);
    assert.equal(groupAt({ groupSize: 192 }, [site("q", 576)]), 192);
  });

  test("is refused where it does not fit, with the module, its outputs and a width that does", () => {
    const sites = [site("q", 576), site("k", 192)];
    assert.throws(() => groupAt({ groupSize: 128 }, sites, 1), {
      code: "usage/flag",
      message: /"layers\.0\.k": it has 192 outputs, expected groups of 128/,
      hint: /such as 64/,
    });
    assert.throws(() => groupAt({ groupSize: 192, pairs: "upper" }, sites, 1), {
      code: "usage/flag",
      message: /192 outputs, expected two or more groups of 192/,
    });
    assert.throws(() => groupAt({}, [site("odd", 15)]), {
      code: "usage/flag",
      message: /15 outputs, expected groups of an even size/,
      hint: /Leave "layers\.0\.odd" out/,
    });
    assert.throws(() => groupAt({}, [site("q", 32), site("odd", 15)]), {
      code: "usage/flag",
      message: /"odd": it has 15 outputs, expected groups of an even size/,
      hint: /Leave "odd" out/,
    });
    assert.throws(() => road.options.parse({ groupSize: 7 }));
  });
});

test("RoAd at the ends of prompts alone declares an input that marks them", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["B", "T", 4]);
  const values = Object.fromEntries(
    ["road_theta", "road_alpha"].map((name) => [name, graph.input(name, "float32", [2])]),
  );
  const declared: PassInput[] = [];
  const site = {
    project: (value: Value) => value,
    save: (_name: string, value: Value) => value,
    context: (spec: PassInput) => {
      declared.push(spec);
      return graph.input(spec.name, spec.dtype, spec.shape);
    },
  } as unknown as SiteGraph;
  const layout = { variant: "road_1", width: 4, groupSize: 4, pairs: "all" };
  road.adapt(site, x, values, { ...layout, positions: "all" });
  assert.equal(declared.length, 0);
  road.adapt(site, x, values, { ...layout, positions: "prompt-end" });
  const spec = declared.at(0);
  assert.ok(spec);
  assert.deepEqual([spec.dtype, spec.shape], ["float32", ["B", "T", 1]]);
  const factsWith = (isPromptEnd: PassFacts["isPromptEnd"]): PassFacts => ({
    numRows: 2,
    length: 3,
    positions: new BigInt64Array(6),
    segments: new Int32Array(6),
    tokenTypes: null,
    keys: null,
    textLengths: null,
    isPromptEnd,
  });
  const marks = new Float32Array(6).fill(7);
  spec.fill(
    factsWith((row, index) => index === row + 1),
    marks,
  );
  assert.deepEqual([...marks], [0, 1, 0, 0, 0, 1]);
  spec.fill(factsWith(null), marks);
  assert.deepEqual([...marks], [0, 0, 0, 0, 0, 0]);
});
