/** @file Every method whose adapters can share a batch: each row computes what it computes alone; and what is refused. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadModel } from "../../src/format/by-path.ts";
import type { AdapterView } from "../../src/peft/adapter-view.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { METHODS, findMethod } from "../../src/peft/methods.ts";
import { arrangeRows } from "../../src/peft/rows/mixed-rows.ts";
import { formRows } from "../../src/peft/rows/row-forms.ts";
import { openRowSet } from "../../src/peft/rows/open-row-set.ts";
import type { RowSet } from "../../src/peft/rows/row-set.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { zeros } from "../../src/runtime/host-tensor.ts";
import {
  attachTo,
  logitsOf,
  perturb,
  randomExamples,
  unpacked,
  withTensors,
} from "../passes/model-passes.ts";
import { memberOf, viewOfRows } from "../passes/rows-of-adapters.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { changeValues } from "../passes/trained-values.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const config = { tie_word_embeddings: false, attention_bias: true, mlp_bias: true };
const { base } = await openUntilEnd(await writeTinyModel(temporaryFolder(), { config }));

const examples = randomExamples([7, 7, 5, 7]);

/** Options of two adapters that are to share a batch: as unlike as the method allows. */
const UNLIKE: Readonly<Record<string, readonly [object, object]>> = {
  dora: [
    { rank: 2, alpha: 3 },
    { rank: 5, rslora: true, dropout: 0.5 },
  ],
  lora: [
    { rank: 2, alpha: 3 },
    { rank: 5, rslora: true, dropout: 0.5, loraBias: true },
  ],
  snell: [
    { rank: 3, kernel: "rbf" },
    { rank: 5, sparsity: 0.5, sparsify: "hard", zeroStart: true, dropout: 0.5, dropPath: 0.5 },
  ],
  // Where nothing else is the same, the matrices that sites share are.
  vera: [
    { rank: 6, dropout: 0.5 },
    { rank: 6, dInitial: 0.3 },
  ],
  road: [{ groupSize: 2 }, { variant: "road_4", groupSize: 8, pairs: "upper" }],
  "road-lora": [
    { groupSize: 2, rank: 2, alpha: 3 },
    { variant: "road_4", groupSize: 8, rank: 5, dropout: 0.5 },
  ],
};

/** Methods whose fresh adapter computes with another weight than the base's: a row without one has no form of it. */
const REPLACING = ["peqa"];

async function moved(
  name: string,
  options: object = {},
  modules: string[] | null = null,
  seed = 5,
): Promise<Adapter> {
  const adapter = await attachTo(base, findMethod(name), options, modules);
  perturb(adapter, 0.1, seed);
  return adapter;
}

/** Asserts that a batch of rows gives what the adapter of each row gives alone. */
async function assertRows(rows: readonly (Adapter | null)[], view?: AdapterView): Promise<void> {
  const batch = unpacked(examples);
  const together = await logitsOf(engine, base, view ?? (await viewOfRows(engine, base, rows)), batch);
  const rowSize = together.length / examples.length;
  for (const [row, adapter] of rows.entries()) {
    const alone = await logitsOf(engine, base, adapter, batch);
    const largest = Math.max(1, ...alone.map(Math.abs));
    for (let i = row * rowSize; i < (row + 1) * rowSize; i++) {
      const apart = Math.abs(together[i]! - alone[i]!);
      assert.ok(apart <= 1e-5 * largest, `row ${row} is ${apart} apart`);
    }
  }
}

for (const method of METHODS) {
  if (method.kind === "base" || method.batch === "not-batchable") continue;
  describe(`rows with adapters of method ${method.name}`, () => {
    test("each row computes what its adapter computes alone, or the base", async () => {
      const [first, second] = [await moved(method.name), await moved(method.name, {}, null, 6)];
      const middle = REPLACING.includes(method.name) ? await moved(method.name, {}, null, 7) : null;
      await assertRows([second, first, middle, second]);
    });

    if (REPLACING.includes(method.name)) return;
    test("adapters may sit on other modules, and have other options where the method allows it", async () => {
      const [first, second] = UNLIKE[method.name] ?? [{}, {}];
      const one = await moved(method.name, first, ["k_proj", "down_proj"]);
      const other = await moved(method.name, second, ["v_proj", "down_proj"], 6);
      await assertRows([one, other, other, one]);
    });
  });
}

describe("rows with scales of their own", () => {
  test("multiply what all tasks share once: codes, or a weight whose rows change in proportion", async () => {
    for (const options of [{ bits: 3 }, { bits: 2, groupSize: 16, scales: "row" }]) {
      const [one, other] = [await moved("peqa", options), await moved("peqa", options, null, 6)];
      const rows = [other, one, one, other];
      const view = await viewOfRows(engine, base, rows);
      const codes = Object.entries(view.inputs(1)).filter(([name]) => /peqa_(codes|blocks)$/.test(name));
      assert.equal(codes.length, 7);
      for (const writing of rows.map((adapter) => adapter.forWriting())) {
        const own = { ...writing.inputs(1), ...writing.constants(1) };
        for (const [name, { data }] of codes) assert.equal(own[name]?.data, data, name);
      }
      await assertRows(rows, view);
    }
  });
});

describe("rows of a batch", () => {
  test("cannot have what programs do not tell apart by rows", async () => {
    const others = [
      await moved("full"),
      await moved("lora", {}, ["lm_head"]),
      await moved("lora", { modulesToSave: ["lm_head"] }),
      await moved("peqa", { groupSize: 16 }),
    ];
    const reasons = await Promise.all(others.map((adapter) => formRows(engine, base, adapter)));
    assert.deepEqual(reasons, [
      "its method is full",
      "it sits on lm_head",
      "it trains more of the base than vectors",
      "its settings at model.layers.0.self_attn.q_proj are its own",
    ]);
  });

  test("cannot have what changes a table that all of them read", async () => {
    const path = await writeTinyModel(temporaryFolder(), { modelType: "deberta-v2" });
    const { base: sharing } = await openUntilEnd(path);
    const reasonFor = async (method: string, options: object, modules: string[] | null): Promise<unknown> =>
      await formRows(engine, sharing, await attachTo(sharing, findMethod(method), options, modules));
    const alone = { modulesToSave: [] };
    assert.equal(
      await reasonFor("lora", alone, ["key_proj"]),
      "it sits on deberta.encoder.layer.0.attention.self.key_proj",
    );
    assert.equal(await reasonFor("bitfit", {}, null), "it trains more of the base than vectors");
    assert.equal(typeof (await reasonFor("lora", alone, ["value_proj"])), "object");
  });

  test("cannot have biases where tokens of all rows lie in an order of their own", async () => {
    const model = await openUntilEnd(await writeTinyModel(temporaryFolder(), { modelType: "gpt_oss" }));
    const adapter = await attachTo(model.base, findMethod("bitfit"));
    const reason = await formRows(engine, model.base, adapter);
    assert.ok(typeof reason === "string");
    assert.match(reason, /^it has model\.layers\.0\.mlp\..*bias of its own$/);
  });

  test("have only adapters that programs read alike", async () => {
    const slotsOf = async (adapter: Adapter): Promise<RowSet> =>
      openRowSet(base, await memberOf(engine, base, adapter));
    const assertUnlike = async (one: Adapter, other: Adapter): Promise<void> => {
      for (const [first, second] of [
        [one, other],
        [other, one],
      ] as const) {
        assert.equal((await slotsOf(first)).add(await memberOf(engine, base, second)), false);
      }
    };
    await assertUnlike(await moved("lora"), await moved("ia3"));
    await assertUnlike(
      await moved("ia3", {}, ["down_proj"]),
      await moved("ia3", { feedforwardModules: [] }, ["down_proj"]),
    );
    for (const options of [{ init: "rtn" }, { scales: "row" }])
      await assertUnlike(await moved("peqa"), await moved("peqa", options));
    const { base: again, checkpoint: other } = await loadModel(
      await writeTinyModel(temporaryFolder(), { seed: 2 }),
    );
    const elsewhere = await attachTo(again, findMethod("peqa"));
    await other.close();
    await assertUnlike(await moved("peqa"), elsewhere);
    await assertUnlike(
      await moved("vera", {}, ["q_proj"]),
      await moved("vera", { projectionSeed: 1 }, ["v_proj"]),
    );
    assert.equal((await slotsOf(await moved("peqa"))).takesNone, false, "the base has no codes");
  });

  test("takes adapters that started from the weight, and those of methods that have rows alike", async () => {
    const options = { rank: 3, init: "pissa" };
    const [lora, dora] = [await moved("lora", options, ["q_proj"]), await moved("dora", options, ["q_proj"])];
    await assertRows([lora, dora, null, lora]);
  });

  test("a row that has no part in an update as large as a weight meets no number of it", async () => {
    const [first, second] = [await moved("snell"), await moved("snell", { rank: 3 }, ["q_proj"], 6)];
    const broken = await moved("snell", {}, ["q_proj", "down_proj"], 7);
    changeValues(broken, () => Number.NaN);
    const rows = openRowSet(base, await memberOf(engine, base, first));
    for (const adapter of [broken, second]) assert.ok(rows.add(await memberOf(engine, base, adapter)));
    /** Whichever row each comes to. */
    const assertPicked = async (asked: readonly (Adapter | null)[], view = rows.view): Promise<void> => {
      const order = arrangeRows([rows], asked);
      await assertRows(
        order.map((index) => asked[index] ?? null),
        view,
      );
    };
    await assertPicked([first, null, second, first]);
    // What goes leaves a place that the next of its kind takes, in the programs that there are.
    const { view } = rows;
    rows.remove(first);
    const next = await moved("snell", { sparsity: 0.5 }, null, 8);
    assert.ok(rows.add(await memberOf(engine, base, next)));
    assert.notEqual(rows.view, view, "nobody was left whose tensors lie there in between");
    await assertPicked([null, next, second, next]);
    rows.remove(broken);
    await assertPicked([second, second, next, null]);
    const [twin, heir] = [await moved("snell", {}, null, 9), await moved("snell", {}, null, 10)];
    assert.ok(rows.add(await memberOf(engine, base, twin)));
    const both = rows.view;
    rows.remove(next);
    await assertPicked([twin, null, twin, second], both);
    assert.ok(rows.add(await memberOf(engine, base, heir)));
    assert.equal(rows.view, both);
    await assertPicked([heir, twin, null, heir], both);
  });

  test("of adapters that go, their modules go too", async () => {
    const goes = await moved("vera", { rank: 6 }, ["q_proj", "v_proj", "down_proj"]);
    const stays = await moved("vera", { rank: 6 }, ["q_proj", "down_proj"], 6);
    const slots = openRowSet(base, await memberOf(engine, base, goes));
    assert.ok(slots.add(await memberOf(engine, base, stays)));
    slots.remove(goes);
    const rows = [stays, null, stays, null];
    assert.deepEqual(arrangeRows([slots], rows), [0, 1, 2, 3]);
    await assertRows(rows, slots.view);
  });

  test("an output whose weights are all zero stays the bias", async () => {
    const name = "model.layers.1.self_attn.v_proj.weight";
    const pruned = zeros("float32", [...base.model.tensors.get(name)!.shape]);
    const { data } = await base.values(name);
    pruned.data.set(data.subarray(pruned.shape[1]));
    const without = await withTensors(base, new Map([[name, pruned]]));
    const adapter = await attachTo(without, findMethod("dora"), {}, ["v_proj"]);
    const batch = unpacked(examples);
    const view = await viewOfRows(engine, without, [adapter, adapter, adapter, adapter]);
    const rows = await logitsOf(engine, without, view, batch);
    const alone = await logitsOf(engine, without, adapter, batch);
    assert.ok(rows.every((value, i) => Math.abs(value - alone[i]!) < 1e-5));
  });

  test("copies: an adapter that changes later does not change the batch", async () => {
    const adapter = await moved("road");
    const view = await viewOfRows(
      engine,
      base,
      examples.map(() => adapter),
    );
    const batch = unpacked(examples);
    const before = await logitsOf(engine, base, view, batch);
    changeValues(adapter, () => 0);
    assert.deepEqual(await logitsOf(engine, base, view, batch), before);
  });
});
