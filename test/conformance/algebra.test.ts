/** @file The laws of adapter arithmetic, on what adapters change in the weights, for every method that can be combined. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { readAdapter, loadModel } from "../../src/format/by-path.ts";
import { type CombineInput, combineAdapters } from "../../src/export/combined/combine.ts";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import { COMBINATIONS } from "../../src/peft/algebra/combinations.ts";
import { type Adapter, attach } from "../../src/peft/attach.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import type { Method } from "../../src/peft/method.ts";
import { METHODS, findMethod } from "../../src/peft/methods.ts";
import { patternValues } from "../../src/peft/sites/targets.ts";
import { Random } from "../../src/random.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { perturb, withTensors } from "../passes/model-passes.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();
const { base, checkpoint } = await openUntilEnd(
  await writeTinyModel(`${folder}/model`, {
    config: { attention_bias: true, mlp_bias: true, tie_word_embeddings: false },
  }),
  { name: "tiny" },
);
let numFolders = 0;

type Targets = readonly string[] | string | null;
type Changes = ReadonlyMap<string, Float64Array>;

/** An adapter in a folder, moved away from its start. */
async function written(
  method: Method,
  seed: number,
  options: object = {},
  modules: Targets = null,
): Promise<string> {
  const adapter = await attach(base, { method, options, targets: { modules } }, new Random(seed));
  perturb(adapter, 0.2, seed);
  return await saveAdapter(`${folder}/adapter-${++numFolders}`, adapter, { base, checkpoint });
}

/** What an adapter changes: its weights less those of a fresh adapter of its kind. */
async function changesOf(adapter: Adapter): Promise<Changes> {
  const { method, options, targets } = adapter;
  const fresh = await attach(base, { method, options, targets }, new Random(0));
  const [merged, start] = [
    await mergeAdapter(engine, base, adapter),
    await mergeAdapter(engine, base, fresh),
  ];
  return new Map(
    [...merged].map(([name, { data }]) => {
      const before = start.get(name)?.data ?? [];
      return [name, Float64Array.from(data, (value, i) => value - before[i]!)];
    }),
  );
}

async function changesIn(path: string): Promise<Changes> {
  return changesOf((await readAdapter(path, base)).adapter);
}

/** Combines, writes, reads onto the model; what comes back fits its configuration, or it would not be read. */
async function combined(input: CombineInput): Promise<{ path: string; adapter: Adapter; changes: Changes }> {
  const path = `${folder}/combined-${++numFolders}`;
  await (await combineAdapters({ base, ...input })).write(path);
  const { adapter } = await readAdapter(path, base);
  return { path, adapter, changes: await changesOf(adapter) };
}

/** Σ wᵢ Δᵢ */
function sumOf(terms: readonly (readonly [number, Changes])[]): Map<string, Float64Array> {
  const sum = new Map<string, Float64Array>();
  for (const [weight, changes] of terms) {
    for (const [name, change] of changes) {
      const before = sum.get(name);
      sum.set(
        name,
        change.map((value, i) => (before?.[i] ?? 0) + weight * value),
      );
    }
  }
  return sum;
}

function normOf(changes: Changes): number {
  return Math.hypot(
    ...[...changes.values()].map((change) => Math.sqrt(change.reduce((s, v) => s + v * v, 0))),
  );
}

/** Asserts that changes agree, in the Frobenius norm over the size of the summands. */
function assertSame(actual: Changes, expected: Changes, size: number): void {
  const apart = normOf(
    sumOf([
      [1, actual],
      [-1, expected],
    ]),
  );
  assert.ok(apart <= 2e-6 * size, `changes are ${apart} apart, of size ${size}`);
}

const COMPOSABLE = METHODS.filter((method) =>
  method.kind === "adapter"
    ? method.algebra !== "not-composable"
    : method.result !== "model" && method.trains.length > 0,
);
/** Methods whose adapters can be scaled, but not added. */
const SCALED_ONLY = ["vera"];
const weight = fc.integer({ min: -20, max: 20 }).map((tenths) => tenths / 10);

for (const method of COMPOSABLE) {
  describe(`arithmetic of ${method.name}`, async () => {
    const [a, b] = [await written(method, 1), await written(method, 2)];
    const [da, db] = [await changesIn(a), await changesIn(b)];
    const size = normOf(da) + normOf(db);

    test("its adapters change something", () => assert.ok(normOf(da) > 1e-2 && normOf(db) > 1e-2));

    test("a - a is the base", async () => {
      const { changes } = await combined({ expression: "a - a", adapters: { a } });
      assertSame(changes, new Map(), size);
    });

    test("w*a changes w times as much, for negative w too", async () => {
      await fc.assert(
        fc.asyncProperty(weight, async (w) => {
          const { changes } = await combined({ expression: `${w}*a`, adapters: { a } });
          assertSame(changes, sumOf([[w, da]]), size);
        }),
        { numRuns: 4, examples: [[1], [-1]] },
      );
    });

    if (method.kind === "adapter" && !SCALED_ONLY.includes(method.name)) {
      test("a module that one adapter alone trains whole is a summand like others", async () => {
        const whole = await written(method, 3, { modulesToSave: ["norm"] });
        const { changes } = await combined({ expression: "0.5*a + 0.5*c", adapters: { a, c: whole } });
        const expected = sumOf([
          [0.5, da],
          [0.5, await changesIn(whole)],
        ]);
        assert.ok(expected.has("model.norm.weight"));
        assertSame(changes, expected, size);
      });

      test("a module that one adapter trains whole and another sits on is refused, as no file has both", async () => {
        const whole = await written(method, 3, { modulesToSave: ["v_proj"] }, ["o_proj"]);
        await assert.rejects(combineAdapters({ expression: "0.5*c + 0.5*a", adapters: { a, c: whole } }), {
          code: "usage/combine",
          // Scales of codes are those of the same modules in any case.
          message: /v_proj" has an adapter in "a" and is trained whole in "c"|expected the same modules/,
        });
      });
    }

    if (SCALED_ONLY.includes(method.name)) {
      test("a + b is refused with a reason", async () => {
        await assert.rejects(combineAdapters({ expression: "a + b", adapters: { a, b } }), {
          code: "usage/combine",
          message: /Cannot combine adapters "a" and "b": .*expected one adapter/,
          hint: /type paper/,
        });
      });
      return;
    }

    test("the sum changes what its terms change together, in either order", async () => {
      await fc.assert(
        fc.asyncProperty(weight, weight, async (v, w) => {
          const expected = sumOf([
            [v, da],
            [w, db],
          ]);
          const one = await combined({ expression: `${v}*a + ${w}*b`, adapters: { a, b } });
          const other = await combined({ expression: `${w}*b + ${v}*a`, adapters: { a, b } });
          assertSame(one.changes, expected, 3 * size);
          assertSame(other.changes, one.changes, 3 * size);
        }),
        { numRuns: 3, examples: [[1, 1]] },
      );
    });

    test("a sum of sums is the sum", async () => {
      const { path: ab } = await combined({ expression: "a + 2*b", adapters: { a, b } });
      const { changes } = await combined({ expression: "ab - 2*b", adapters: { ab, b } });
      assertSame(changes, da, 5 * size);
    });

    test("an average needs no base model", async () => {
      const path = `${folder}/average-${method.name}`;
      await (await combineAdapters({ expression: "0.25*a + 0.75*b", adapters: { a, b } })).write(path);
      const expected = sumOf([
        [0.25, da],
        [0.75, db],
      ]);
      assertSame(await changesIn(path), expected, size);
    });
  });
}

for (const method of METHODS.filter(
  (method) => method.kind === "adapter" && method.algebra === "not-composable",
)) {
  test(`adapters of ${method.name} are refused`, async () => {
    const a = await written(method, 1);
    await assert.rejects(combineAdapters({ expression: "0.5*a", adapters: { a } }), {
      code: "usage/combine",
      message: new RegExp(`Cannot combine adapters of method "${method.name}"`),
      hint: /Merge/,
    });
  });
}

describe("arithmetic of low-rank adapters of unlike kinds", async () => {
  const lora = findMethod("lora");
  const kinds: Readonly<Record<string, { options: object; modules?: Targets }>> = {
    "rank 2": { options: { rank: 2, alpha: 7 } },
    "rank-stabilized": { options: { rank: 5, alpha: 3, rslora: true } },
    patterns: {
      options: {
        rank: 3,
        alpha: 5,
        rankPattern: { "layers.0.self_attn.q_proj": 6, q_proj: 2 },
        alphaPattern: { down_proj: 11 },
      },
    },
    "some modules": { options: { rank: 4 }, modules: ["q_proj", "embed_tokens", "lm_head"] },
    "an expression": { options: { rank: 2 }, modules: ".*layers\\.1\\..*(k|up)_proj" },
    "a module trained whole": { options: { rank: 2, modulesToSave: ["norm"] }, modules: ["v_proj"] },
    "a start from the weight": { options: { rank: 2, init: "olora" }, modules: ["o_proj", "v_proj"] },
  };
  const paths = new Map<string, string>();
  const changes = new Map<string, Changes>();
  for (const [index, [kind, { options, modules }]] of Object.entries(kinds).entries()) {
    paths.set(kind, await written(lora, index + 1, options, modules ?? ["q_proj", "down_proj"]));
    changes.set(kind, await changesIn(paths.get(kind)!));
  }
  const names = Object.keys(kinds);
  const subset = fc.uniqueArray(fc.tuple(fc.constantFrom(...names), weight), {
    selector: ([kind]) => kind,
    minLength: 2,
    maxLength: 3,
  });
  const toInput = (terms: readonly (readonly [string, number])[]): CombineInput => ({
    expression: terms.map(([, w], i) => `${w}*x${i}`).join(" + "),
    adapters: Object.fromEntries(terms.map(([kind], i) => [`x${i}`, paths.get(kind)!])),
  });
  const expectedOf = (terms: readonly (readonly [string, number])[]): readonly [Changes, number] => {
    const parts = terms.map(([kind, w]) => [w, changes.get(kind)!] as const);
    return [sumOf(parts), parts.reduce((sum, [w, part]) => sum + (1 + Math.abs(w)) * normOf(part), 0)];
  };

  test("cat is the sum of the changes, whatever the ranks, scales and modules", async () => {
    await fc.assert(
      fc.asyncProperty(subset, async (terms) => {
        const [expected, size] = expectedOf(terms);
        assertSame((await combined(toInput(terms))).changes, expected, size);
      }),
      { numRuns: 12 },
    );
  });

  test("keys of a written pattern never overlap, so that sorting them changes nothing", async () => {
    await fc.assert(
      fc.asyncProperty(subset, async (terms) => {
        const { path, adapter } = await combined(toInput(terms));
        const config = JSON.parse(readFileSync(`${path}/adapter_config.json`, "utf8")) as Record<
          "rank_pattern" | "alpha_pattern",
          Record<string, number>
        >;
        for (const pattern of [config.rank_pattern, config.alpha_pattern]) {
          for (const site of adapter.sites.keys()) {
            const keys = Object.entries(pattern).filter(
              ([key, value]) => patternValues({ [key]: value })(site) !== null,
            );
            assert.ok(keys.length <= 1, `${site}: ${keys.join("; ")}`);
          }
        }
      }),
      { numRuns: 5 },
    );
  });

  test("an average of parameters is refused where equal numbers mean unequal changes", async () => {
    const vera = findMethod("vera");
    for (const [method, some, others, message] of [
      [
        lora,
        { rank: 2, alpha: 4 },
        { rank: 2, alpha: 8 },
        /their scales at "model.* are 2 and 4, expected equal scales/,
      ],
      [
        vera,
        { projectionSeed: 1 },
        { projectionSeed: 2 },
        /frozen tensors "base_model\.vera_A" differ, expected the same projection/,
      ],
    ] as const) {
      const [a, b] = [await written(method, 1, some), await written(method, 2, others)];
      await assert.rejects(combineAdapters({ expression: "a + b", adapters: { a, b }, type: "paper" }), {
        code: "usage/combine",
        message,
      });
    }
  });

  test("svd of a sufficient rank is the sum, of a lower rank it lacks what it says", async () => {
    const terms = [
      ["rank 2", 1],
      ["rank-stabilized", -0.5],
    ] as const;
    const [expected, size] = expectedOf(terms);
    const whole = await combined({ ...toInput(terms), type: "svd", rank: 7 });
    assertSame(whole.changes, expected, size);
    for (const rank of [1, 2, 4]) {
      const input = { ...toInput(terms), type: "svd", rank } as const;
      const { residual } = await combineAdapters(input);
      const lost = normOf(
        sumOf([
          [1, (await combined(input)).changes],
          [-1, expected],
        ]),
      );
      assert.ok(residual && Math.abs(residual.total - lost / normOf(expected)) < 1e-5, `rank ${rank}`);
      assert.ok(residual.worst.residual >= residual.total);
    }
  });

  test("one adapter stays itself by every way that gives back one", async () => {
    const [a, da] = [paths.get("rank-stabilized")!, changes.get("rank-stabilized")!];
    for (const type of ["cat", "linear", "svd", "paper"] as const) {
      const { changes: own } = await combined({ expression: "a", adapters: { a }, type });
      assertSame(own, da, normOf(da));
    }
  });
});

describe("arithmetic of models that were fine-tuned whole", async () => {
  const full = findMethod("full");
  const [a, b] = [await written(full, 1), await written(full, 2)];
  const values = async (path: string): Promise<Map<string, Float64Array>> => {
    const { base: model, checkpoint: file } = await loadModel(path);
    const all = new Map<string, Float64Array>();
    for (const name of model.model.tensors.keys())
      all.set(name, Float64Array.from((await model.values(name)).data));
    await file.close();
    return all;
  };
  const [va, vb, start] = [await values(a), await values(b), await values(`${folder}/model`)];

  test("is that of their differences from the base", async () => {
    const path = `${folder}/whole-sum`;
    await (await combineAdapters({ expression: "a - 0.5*b", adapters: { a, b }, base })).write(path);
    const expected = sumOf([
      [0.5, start],
      [1, va],
      [-0.5, vb],
    ]);
    assertSame(await values(path), expected, normOf(expected));
    const inside = (await combineAdapters({ expression: "a - 0.5*b", adapters: { a, b }, base })).write(
      `${a}/in`,
    );
    await assert.rejects(inside, { code: "usage/output", message: /it is inside the adapter a "/ });
  });

  test("needs no base for an average, and says so for other sums before it writes", async () => {
    const path = `${folder}/whole-average`;
    await (await combineAdapters({ expression: "a + b", adapters: { a, b }, type: "paper" })).write(path);
    const expected = sumOf([
      [0.5, va],
      [0.5, vb],
    ]);
    assertSame(await values(path), expected, normOf(expected));
    await assert.rejects(combineAdapters({ expression: "a + b", adapters: { a, b } }), {
      code: "usage/combine",
      hint: /--model/,
    });
    await assert.rejects(combineAdapters({ expression: "a + b", adapters: { a, b }, type: "svd", base }), {
      code: "usage/combine",
      message: /no rank of their own/,
    });
  });

  test("takes a recipe as it is written, without the base", async () => {
    const path = `${folder}/whole-recipe`;
    const input = { expression: "a + 0.4*(a - b)", adapters: { a, b }, type: "paper" } as const;
    await (await combineAdapters({ ...input, normalize: "off" })).write(path);
    const expected = sumOf([
      [1.4, va],
      [-0.4, vb],
    ]);
    assertSame(await values(path), expected, normOf(expected));
  });

  test("has no product, which is told", async () => {
    await assert.rejects(
      combineAdapters({ expression: "0.5*a + 0.5*b", type: "product", adapters: { a, b } }),
      {
        code: "usage/combine",
        message: /method is "full", whose changes are not rotations/,
      },
    );
  });

  test("refuses models of other shapes", async () => {
    const other = await writeTinyModel(`${folder}/deeper`, { config: { num_hidden_layers: 3 } });
    await assert.rejects(combineAdapters({ expression: "0.5*a + 0.5*o", adapters: { a, o: other } }), {
      code: "usage/combine",
      message: /Cannot combine models "a" and "o"/,
    });
  });

  test("refuses a base of other shapes, or with other tensors, before it writes", async () => {
    for (const [name, config, message] of [
      [
        "wide",
        { intermediate_size: 64 },
        /base "wide": tensor ".*gate_proj.weight" is \[48, 32\], expected \[64, 32\]/,
      ],
      [
        "deep",
        { num_hidden_layers: 3 },
        /base "deep": tensor "model\.layers\.2\..*" is missing, expected \[/,
      ],
    ] as const) {
      const other = await loadModel(
        await writeTinyModel(`${folder}/${name}-base`, {
          config: { attention_bias: true, mlp_bias: true, tie_word_embeddings: false, ...config },
        }),
        { name },
      );
      const input = { adapters: { a, b }, base: other.base };
      for (const expression of ["a - b", "0.5*a + 0.5*b"]) {
        await assert.rejects(combineAdapters({ expression, ...input }), {
          code: "usage/combine",
          message,
          hint: /fine-tuned from/,
        });
      }
      await other.checkpoint.close();
    }
  });
});

describe("arithmetic of turns", () => {
  const road = findMethod("road");

  test("adapters of the lower and of the upper pairs add up to one of all, in every variant", async () => {
    for (const variant of ["road_1", "road_2", "road_4"]) {
      const [lower, upper] = [
        await written(road, 1, { variant, pairs: "lower", groupSize: 4 }),
        await written(road, 2, { variant, pairs: "upper", groupSize: 4 }),
      ];
      const [dl, du] = [await changesIn(lower), await changesIn(upper)];
      const { changes } = await combined({ expression: "a + b", adapters: { a: lower, b: upper } });
      const expected = sumOf([
        [1, dl],
        [1, du],
      ]);
      assertSame(changes, expected, normOf(expected));
      const scaled = await combined({ expression: "-0.5*a", adapters: { a: lower } });
      assertSame(scaled.changes, sumOf([[-0.5, dl]]), normOf(dl));
    }
  });

  describe("as a product", async () => {
    const [a, b] = [await written(road, 1, { groupSize: 4 }), await written(road, 2, { groupSize: 4 })];
    const product = { type: "product", adapters: { a, b } } as const;
    /** The weights after one adapter is merged after the other. */
    const inTurn = async (...paths: readonly string[]): Promise<Changes> => {
      let model = base;
      for (const path of paths) {
        const { adapter } = await readAdapter(path, model);
        model = await withTensors(model, await mergeAdapter(engine, model, adapter));
      }
      return weightsOf(model);
    };
    const weightsOf = async (model: BaseModel): Promise<Changes> => {
      const names = [...model.model.tensors.keys()];
      return new Map(
        await Promise.all(
          names.map(async (name) => [name, Float64Array.from((await model.values(name)).data)] as const),
        ),
      );
    };
    const start = await weightsOf(base);
    const size = normOf(start);

    test("changes what its turns do one after another, in either order", async () => {
      const expected = await inTurn(a, b);
      for (const expression of ["a + b", "b + a"]) {
        const { path } = await combined({ expression, ...product });
        assertSame(await inTurn(path), expected, size);
        assertSame(await inTurn(b, a), expected, size);
      }
      const { path: sum } = await combined({ expression: "a + b", adapters: { a, b } });
      const apart = normOf(
        sumOf([
          [1, await inTurn(sum)],
          [-1, expected],
        ]),
      );
      assert.ok(apart > 1e-3 * size, "the sum of the changes is another adapter");
    });

    test("has minus for the inverse and a number for a power", async () => {
      const { path: back } = await combined({ expression: "-a", ...product, adapters: { a } });
      assertSame(await inTurn(a, back), start, size);
      const { path: difference } = await combined({ expression: "a - b", ...product });
      assertSame(await inTurn(difference, b), await inTurn(a), size);
      const { path: half } = await combined({ expression: "0.5*a", ...product, adapters: { a } });
      assertSame(await inTurn(half, half), await inTurn(a), size);
    });

    test("takes a negative size for half a turn more, and refuses one of 0", async () => {
      for (const [value, isRefused] of [
        [-1.5, false],
        [0, true],
      ] as const) {
        const { adapter } = await readAdapter(a, base);
        adapter.parameters.find(({ name }) => name.endsWith("road_alpha"))!.value.data[1] = value;
        const odd = `${folder}/odd-${value}`;
        await saveAdapter(odd, adapter, { base, checkpoint });
        const input = { expression: "o + b", ...product, adapters: { o: odd, b } };
        if (isRefused)
          await assert.rejects(combined(input), { code: "usage/combine", message: /scales by 0/ });
        else assertSame(await inTurn((await combined(input)).path), await inTurn(odd, b), size);
      }
    });

    for (const variant of ["road_2", "road_4"]) {
      test(`of ${variant} keeps the order of the expression, and has inverses and powers`, async () => {
        const options = { variant, groupSize: 4 };
        const [c, d] = [await written(road, 3, options), await written(road, 4, options)];
        const pathOf = async (expression: string): Promise<string> =>
          (await combined({ expression, type: "product", adapters: { c, d } })).path;
        assertSame(await inTurn(await pathOf("c + d")), await inTurn(c, d), size);
        assertSame(await inTurn(await pathOf("d + c")), await inTurn(d, c), size);
        const swapped = sumOf([
          [1, await inTurn(c, d)],
          [-1, await inTurn(d, c)],
        ]);
        assert.ok(normOf(swapped) > 1e-3 * size, "the order matters");
        assertSame(await inTurn(c, await pathOf("-c + 0*d")), start, size);
        assertSame(await inTurn(await pathOf("2*c + 0*d")), await inTurn(c, c), size);
        const half = await pathOf("0.5*c + 0*d");
        assertSame(await inTurn(half, half), await inTurn(c), size);
        // An adapter that comes twice, and groups with a number: multiplied out they would be other turns.
        const back = await pathOf("-c + 0*d");
        assertSame(await inTurn(await pathOf("c + d + c")), await inTurn(c, d, c), size);
        assertSame(await inTurn(await pathOf("c + d - c")), await inTurn(c, d, back), size);
        assertSame(await inTurn(c, d, await pathOf("-(c + d)")), start, size);
        assertSame(await inTurn(await pathOf("d + 2*(c + d)")), await inTurn(d, c, d, c, d), size);
        const halfOfBoth = await pathOf("0.5*(c + d)");
        assertSame(await inTurn(halfOfBoth, halfOfBoth), await inTurn(c, d), size);
      });
    }

    test("is refused for what does not turn, or has no such power", async () => {
      const scaler = await written(findMethod("ia3"), 1);
      const { adapter } = await readAdapter(
        await written(road, 1, { variant: "road_2", groupSize: 4 }),
        base,
      );
      // The first output with its sign turned round: a mirror.
      for (const { name, value } of adapter.parameters) {
        value.data.fill(name.endsWith("road_alpha") ? 1 : 0);
        if (name.endsWith("road_alpha")) value.data[0] = -1;
      }
      const mirror = `${folder}/mirror`;
      await saveAdapter(mirror, adapter, { base, checkpoint });
      assertSame(
        await inTurn((await combined({ expression: "2*a", type: "product", adapters: { a: mirror } })).path),
        start,
        size,
      );
      for (const [path, expression, message, hint] of [
        [scaler, "2*a", /method is "ia3"/, /type cat.*road/],
        [mirror, "0.5*a", /_proj" reflects a plane.* to the power 0\.5/, /whole numbers/],
        [
          mirror,
          "0.5*(a + 2*a)",
          /"a \+ 2\*a": .*_proj" reflects a plane.* to the power 0\.5/,
          /whole numbers/,
        ],
      ] as const) {
        const input = { expression, type: "product", adapters: { a: path } } as const;
        await assert.rejects(combineAdapters(input), { code: "usage/combine", message, hint });
      }
    });
  });

  test("adapters of the ends of prompts stay that, and are not added to those of all tokens", async () => {
    const end = await written(road, 1, { positions: "prompt-end" }, ["residual"]);
    const path = `${folder}/prompt-end`;
    await (await combineAdapters({ expression: "0.5*a", adapters: { a: end }, base })).write(path);
    const [{ adapter: half }, { adapter: whole }] = [
      await readAdapter(path, base),
      await readAdapter(end, base),
    ];
    assert.equal((half.options as { positions: string }).positions, "prompt-end");
    assert.equal((whole.options as { positions: string }).positions, "prompt-end");
    assert.deepEqual([...half.sites.keys()], [...whole.sites.keys()]);
    const b = await written(road, 2, {}, ["residual"]);
    await assert.rejects(combineAdapters({ expression: "a + b", adapters: { a: end, b } }), {
      code: "usage/combine",
      message: /their options at "model\.layers\.0\.residual" are .*prompt-end/,
    });
  });

  test("other groups or variants are refused", async () => {
    const a = await written(road, 1, { groupSize: 4 });
    for (const options of [{ groupSize: 8 }, { groupSize: 4, variant: "road_2" }]) {
      const b = await written(road, 2, options);
      await assert.rejects(combineAdapters({ expression: "a + b", adapters: { a, b } }), {
        code: "usage/combine",
        message: /their options at "model\.layers\.0\./,
      });
    }
  });
});

test("docs/algebra.md has a row for every way of combining and every method", () => {
  const page = readFileSync(new URL("../../docs/algebra.md", import.meta.url), "utf8");
  for (const name of [...Object.keys(COMBINATIONS), ...METHODS.map((method) => method.name)]) {
    assert.match(page, new RegExp(`^\\| (.*, )?\`${name}\`.* \\|$`, "m"), `add a row for ${name}`);
  }
});

describe("the base model in arithmetic", () => {
  test("trained tensors of the base need it where weights do not sum to 1", async () => {
    const bitfit = findMethod("bitfit");
    const [a, b] = [await written(bitfit, 1), await written(bitfit, 2)];
    await assert.rejects(combineAdapters({ expression: "a + b", adapters: { a, b } }), {
      code: "usage/combine",
      message: /without the base model: .* 1, 1, expected them to sum to 1/,
      hint: /--model/,
    });
  });

  test("adapters are held against it where it is given", async () => {
    const wider = await loadModel(
      await writeTinyModel(`${folder}/wider`, { config: { hidden_size: 64, intermediate_size: 80 } }),
    );
    const a = await written(findMethod("ia3"), 1);
    const refused: { base: BaseModel } & CombineInput = {
      expression: "a",
      adapters: { a },
      base: wider.base,
    };
    await assert.rejects(combineAdapters(refused), { code: "usage/adapter", message: /with this model/ });
    await wider.checkpoint.close();
    assert.ok(existsSync(a));
  });
});
