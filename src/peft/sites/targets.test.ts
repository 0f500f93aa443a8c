import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { residualSite } from "../../models/graphs/sites.ts";
import { linearSite } from "../../../test/tiny/sites.ts";
import {
  patternValues,
  modulesOfRoles,
  requireMatchedPatterns,
  selectTargets,
  withoutTrainedWhole,
} from "./targets.ts";
import { processorMs } from "../../train/power/processor-ms.ts";

const CANDIDATES = [0, 1, 2].flatMap((layer) =>
  ["attn.q_proj", "attn.o_proj", "mlp.c_proj", "attn.c_proj"].map((name) => ({
    path: `model.layers.${layer}.${name}`,
    layer,
    spec: linearSite(name, 4, 4),
  })),
);
const ALL = { exclude: [], layers: null };

function pathsOf(targets: Parameters<typeof selectTargets>[1]): string[] {
  return selectTargets(CANDIDATES, targets).map(({ path }) => path);
}

describe("selectTargets()", () => {
  test("a list matches whole paths and dotted suffixes, not parts of names", () => {
    assert.equal(pathsOf({ ...ALL, modules: ["q_proj"] }).length, 3);
    assert.equal(pathsOf({ ...ALL, modules: ["c_proj"] }).length, 6);
    assert.equal(pathsOf({ ...ALL, modules: ["mlp.c_proj"] }).length, 3);
    assert.deepEqual(pathsOf({ ...ALL, modules: ["model.layers.1.attn.q_proj"] }), [
      "model.layers.1.attn.q_proj",
    ]);
    assert.throws(() => pathsOf({ ...ALL, modules: ["proj"] }), { code: "usage/target-modules" });
    assert.throws(() => pathsOf({ ...ALL, modules: ["q_proj", "x_proj"] }), { code: "usage/target-modules" });
  });

  test("a string is an expression for the whole path", () => {
    assert.equal(pathsOf({ ...ALL, modules: ".*q_proj" }).length, 3);
    assert.equal(pathsOf({ ...ALL, modules: ".*1\\.attn\\.(q|o)_proj" }).length, 2);
    assert.throws(() => pathsOf({ ...ALL, modules: "q_proj" }), { code: "usage/target-modules" });
    // Alternatives are alternatives of the whole, not of its ends.
    assert.throws(() => pathsOf({ ...ALL, modules: "model|q_proj" }), { code: "usage/target-modules" });
  });

  test("all-linear is everything, less what is excluded and the layers that were not chosen", () => {
    assert.equal(pathsOf({ ...ALL, modules: "all-linear" }).length, CANDIDATES.length);
    assert.equal(pathsOf({ ...ALL, modules: "all-linear", exclude: ["c_proj"] }).length, 6);
    assert.equal(pathsOf({ ...ALL, modules: "all-linear", exclude: ".*attn.*" }).length, 3);
    assert.equal(pathsOf({ ...ALL, modules: "all-linear", layers: [0, 2] }).length, 8);
    assert.throws(() => pathsOf({ ...ALL, modules: "all-linear", layers: [3] }), /layers 3: .* 0 to 2/);
  });

  test("a whole path is a target in whatever layer it lies, as in PEFT", () => {
    const more = [...CANDIDATES, { path: "lm_head", layer: null, spec: linearSite("lm_head", 4, 4) }];
    const pick = (modules: string[]) =>
      selectTargets(more, { ...ALL, modules, layers: [1] }).map(({ path }) => path);
    assert.deepEqual(pick(["q_proj", "lm_head"]), ["model.layers.1.attn.q_proj", "lm_head"]);
    assert.deepEqual(pick(["model.layers.2.attn.q_proj"]), ["model.layers.2.attn.q_proj"]);
  });

  test("what all-linear does not mean is a target by name alone", () => {
    const more = [...CANDIDATES, { path: "model.layers.1.residual", layer: 1, spec: residualSite(4) }];
    const pick = (modules: string | string[]) => selectTargets(more, { ...ALL, modules }).length;
    assert.equal(pick("all-linear"), CANDIDATES.length);
    assert.equal(pick(["residual"]), 1);
  });

  test("an empty list chooses nothing", () => {
    assert.deepEqual(pathsOf({ ...ALL, modules: [] }), []);
  });
});

describe("patterns", () => {
  test("requireMatchedPatterns() refuses a pattern that no adapted module matches, in any option of that name", () => {
    const paths = CANDIDATES.map(({ path }) => path);
    const check = (options: object) => () => requireMatchedPatterns(options, paths);
    check({ rankPattern: { q_proj: 2, "1.attn.o_proj": 4 }, alphaPattern: {}, rank: 3 })();
    assert.throws(check({ rankPattern: {}, alphaPattern: { q_prj: 4 } }), {
      code: "usage/target-modules",
      message: /Cannot use --alpha-pattern for "q_prj": .*nearest is "q_proj"/,
      hint: /^Choose among q_proj, (?!.*all-linear).*--target-modules\.$/,
    });
  });

  test("patternValues() gives the first match in the order of the file", () => {
    const path = "model.layers.1.mlp.down_proj";
    assert.equal(patternValues({ "layers.1.mlp.down_proj": 16, down_proj: 4 })(path), 16);
    assert.equal(patternValues({ down_proj: 4, "layers.1.mlp.down_proj": 16 })(path), 4);
    assert.equal(patternValues({ ".*\\.1\\..*": 3 })(path), 3);
    assert.equal(patternValues({ own_proj: 4 })(path), null);
  });

  test("expressions are Python's, where JavaScript would read other ones or none", () => {
    const path = "model.layers.1.self_attn.q_proj";
    for (const [pattern, isMatch] of [
      ["layers\\.1\\.self_attn\\.q_proj\\Z", true],
      ["\\Amodel\\.layers.*", true],
      ["l.{,5}s\\.1\\..*", true],
      ["l.{,3}s\\.1\\..*", false],
      ["lay.{,}", true],
      ["lay[]e]rs\\..*", true],
      ["lay[]]rs\\..*", false],
      ["layers[^]]1\\..*", true],
      ["layers[^].]1\\..*", false],
      ["layers\\.(?P<n>[12])\\.self_attn\\.q_proj", true],
      ["(?P<n>(.*)+)q_proj", true],
      ["[(?P<A\\].-z{,2}]+", true],
    ] as const) {
      assert.equal(patternValues({ [pattern]: 1 })(path), isMatch ? 1 : null, pattern);
    }
    assert.equal(pathsOf({ ...ALL, modules: "(?i).*\\.Q_PROJ" }).length, 3);
    for (const pattern of ["layers\\.\\d++\\..*", "(a", "layers\\.(?#one)1.*"])
      assert.throws(() => patternValues({ [pattern]: 1 }), { code: "usage/target-modules" });
  });

  test("plain names mean what they mean as regular expressions", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", ".", "_", "-"), maxLength: 5 });
    const property = fc.property(text, text, (pattern, path) => {
      const isMatch = new RegExp(`^(.*\\.)?(${pattern})$`).test(path);
      assert.equal(patternValues({ [pattern]: 1 })(path), isMatch ? 1 : null);
    });
    fc.assert(property, { numRuns: 2000 });
  });

  for (const [what, around, numPatterns] of [
    ["names", "", 5000],
    ["expressions", "(self_attn|mlp)?", 1000],
  ] as const) {
    test(`${numPatterns} ${what} are looked for in 200 modules soon`, () => {
      const paths = Array.from({ length: 200 }, (_, i) => `model.layers.${i}.self_attn.q_proj`);
      const names = Array.from(
        { length: numPatterns },
        (_, i) => [`${around}layers.${199 + i}.self_attn.q_proj`, i + 1] as const,
      );
      const before = process.cpuUsage();
      const found = paths.map(patternValues(Object.fromEntries(names)));
      assert.deepEqual(found, [...paths.slice(1).map(() => null), 1]);
      const { user, system } = process.cpuUsage(before);
      assert.ok(user + system < 5e6, `${(user + system) / 1e6} s`);
    });
  }
});

test("selectTargets() says the nearest name first, and all others", () => {
  assert.throws(() => pathsOf({ ...ALL, modules: ["q_porj"] }), {
    message: /no module matches, the nearest is "q_proj"/,
    hint: /q_proj.*c_proj.*all-linear|q_proj.*o_proj.*all-linear/,
  });
});

test("modulesOfRoles() gives the names of a family's modules, fused ones too, and refuses roles that it has not", () => {
  const sites = (["qkv", "attention-output", "gate-up", "down"] as const).map((role) => ({
    ...linearSite(`block.${role}`, 8, 8),
    role,
  }));
  assert.deepEqual(modulesOfRoles(["key", "value", "qkv", "down"], sites), ["block.qkv", "block.down"]);
  assert.equal(modulesOfRoles("all-linear", sites), "all-linear");
  assert.throws(() => modulesOfRoles(["router"], sites), {
    code: "usage/target-modules",
    message: /none for router/,
  });
});

test("patterns that search without end are answered at once, and too long ones refused", () => {
  const started = processorMs();
  const hard = "(([a-z0-9_.])+)+!";
  const path = "model.layers.0.self_attn.q_proj.weight.of.a.long.name.that.goes.on";
  assert.equal(patternValues({ [hard]: 1 })(path), null);
  const candidates = [{ path, layer: 0, spec: linearSite("q_proj", 4, 4) }];
  const all = { modules: "all-linear", exclude: [], layers: null };
  assert.throws(() => selectTargets(candidates, { ...all, modules: hard }), { code: "usage/target-modules" });
  assert.equal(selectTargets(candidates, { ...all, exclude: hard }).length, 1);
  assert.throws(() => selectTargets(candidates, { ...all, modules: "q".repeat(100_000) }), {
    code: "usage/target-modules",
    message: /guaranteed to end/,
  });
  assert.ok(processorMs() - started < 2000);
});

test("modules that are trained whole are left out of tens of thousands, as experts are, without comparing all with all", () => {
  const spec = linearSite("up_proj", 4, 4);
  const experts = Array.from({ length: 150_000 }, (_, expert) => ({
    path: `model.layers.0.mlp.experts.${expert}.up_proj`,
    layer: 0,
    spec,
  }));
  const head = { path: "lm_head", layer: null, spec: linearSite("lm_head", 4, 4) };
  const before = processorMs();
  const left = withoutTrainedWhole([...experts, head], ["lm_head"], { ...ALL, modules: "all-linear" });
  assert.ok(processorMs() - before < 1000, `${processorMs() - before} ms`);
  assert.equal(left.length, experts.length);
});
