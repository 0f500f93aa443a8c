import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { patternValues } from "../sites/targets.ts";
import { toPatterns } from "./patterns.ts";

const PATHS = [0, 1, 10, 11].flatMap((layer) =>
  ["attn.c_proj", "mlp.c_proj", "mlp.c_fc", "self_attn.q_proj"].map(
    (name) => `model.layers.${layer}.${name}`,
  ),
);

test("toPatterns() uses short names where all modules of the name agree, else paths", () => {
  const values = new Map(PATHS.map((path) => [path, 4]));
  for (const path of PATHS) if (path.endsWith("q_proj")) values.set(path, 2);
  values.set("model.layers.1.attn.c_proj", 8);
  assert.deepEqual(toPatterns(values), {
    common: 4,
    others: { "model.layers.1.attn.c_proj": 8, q_proj: 2 },
  });
  assert.deepEqual(toPatterns(new Map([["a.b", true]]), false), { common: false, others: { b: true } });
});

test("toPatterns() gives patterns that read back, in any order, and of which one matches a path", () => {
  const value = fc.integer({ min: 1, max: 3 });
  fc.assert(
    fc.property(fc.array(value, { minLength: PATHS.length, maxLength: PATHS.length }), (list) => {
      const values = new Map(PATHS.map((path, i) => [path, list[i]!]));
      const { common, others } = toPatterns(values);
      const sorted = Object.fromEntries(Object.entries(others).sort(([a], [b]) => (a < b ? -1 : 1)));
      for (const [path, expected] of values) {
        assert.equal(patternValues(sorted)(path) ?? common, expected);
        const keys = Object.keys(others).filter((key) => patternValues({ [key]: 1 })(path) !== null);
        assert.ok(keys.length <= 1, keys.join());
      }
    }),
  );
});
