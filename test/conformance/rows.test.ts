/** @file Every method whose adapters can share a batch: each row computes what it computes alone; and what is refused. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { loadModel } from "../../src/format/by-path.ts";
import type { AdapterView } from "../../src/peft/adapter-view.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { METHODS, findMethod } from "../../src/peft/methods.ts";
import { arrangeRows } from "../../src/peft/mixed-rows.ts";
import { formRows } from "../../src/peft/row-forms.ts";
import { PickedRows } from "../../src/peft/picked-rows.ts";
import { RowSlots } from "../../src/peft/row-slots.ts";
import { stackAdapters } from "../../src/peft/rows.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { zeros } from "../../src/runtime/host-tensor.ts";
import { attachTo, logitsOf, perturb, randomExamples, unpacked, withTensors } from "../model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny-model.ts";
import { changeValues } from "../trained-values.ts";

const engine = createEngine({ threads: 1 });
const config = { tie_word_embeddings: false, attention_bias: true, mlp_bias: true };
const { base, checkpoint } = await loadModel(await writeTinyModel(temporaryFolder(), { config }));
after(() => checkpoint.close());

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
    { rank: 5, sparsity: 0.5, sparsify: "hard" },
  ],
  // Where nothing else is the same, the matrices that sites share are.
  vera: [
    { rank: 6, dropout: 0.5 },
    { rank: 6, dInitial: 0.3 },
  ],
  road: [{ groupSize: 2 }, { variant: "road_4", groupSize: 8, pairs: "upper" }],
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
async function assertRows(
  adapters: readonly (Adapter | null)[],
  adapterOf: readonly number[],
  stacked?: AdapterView,
): Promise<void> {
  const overlay = stacked ?? (await stackAdapters(engine, base, adapters));
  const batch = unpacked(examples);
  const together = await logitsOf(engine, base, overlay, batch, adapterOf);
  const rowSize = together.length / examples.length;
  for (const [row, index] of adapterOf.entries()) {
    const alone = await logitsOf(engine, base, adapters[index] as Adapter | null, batch);
    const largest = Math.max(1, ...alone.map(Math.abs));
    for (let i = row * rowSize; i < (row + 1) * rowSize; i++) {
      const apart = Math.abs((together[i] as number) - (alone[i] as number));
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
      await assertRows([first, middle, second], [2, 0, 1, 2]);
    });

    if (REPLACING.includes(method.name)) return;
    test("adapters may sit on other modules, and have other options where the method allows it", async () => {
      const [first, second] = UNLIKE[method.name] ?? [{}, {}];
      const adapters = [
        await moved(method.name, first, ["k_proj", "down_proj"]),
        await moved(method.name, second, ["v_proj", "down_proj"], 6),
      ];
      await assertRows(adapters, [0, 1, 1, 0]);
    });
  });
}

describe("rows with scales of their own", () => {
  test("multiply what all tasks share once: codes, or a weight whose rows change in proportion", async () => {
    for (const options of [{ bits: 3 }, { bits: 2, groupSize: 16, scales: "row" }]) {
      const adapters = [await moved("peqa", options), await moved("peqa", options, null, 6)];
      const overlay = await stackAdapters(engine, base, adapters);
      const codes = Object.entries(overlay.inputs(1)).filter(([name]) => name.endsWith("peqa_codes"));
      assert.equal(codes.length, 7);
      for (const [name, { data }] of codes) {
        for (const adapter of adapters) assert.equal(adapter.inputs(1)[name]?.data, data, name);
      }
      await assertRows(adapters, [1, 0, 0, 1], overlay);
    }
  });
});

describe("stackAdapters()", () => {
  const assertRefused = (adapters: readonly (Adapter | null)[], message: RegExp): Promise<void> =>
    assert.rejects(
      stackAdapters(engine, base, adapters),
      (error: Error & { code?: string; hint?: string }) => {
        assert.equal(error.code, "usage/adapter");
        assert.match(error.message, message);
        assert.match(error.hint ?? "", /on their own/);
        return true;
      },
    );

  test("refuses adapters that cannot share a batch, and says why", async () => {
    await assertRefused(
      [await moved("lora"), await moved("ia3")],
      /of "lora" and "ia3", expected one method/,
    );
    await assertRefused([null], /of no method/);
    await assertRefused([await moved("full")], /method "full" in one batch/);
    await assertRefused(
      [await moved("ia3", {}, ["down_proj"]), await moved("ia3", { feedforwardModules: [] }, ["down_proj"])],
      /adapters 1 and 2 .* at "model\.layers\.0\.mlp\.down_proj" feedforward is true and false/,
    );
    await assertRefused([await moved("lora", {}, ["lm_head"])], /one is on "lm_head"/);
    await assertRefused(
      [await moved("peqa", { groupSize: 16 })],
      /"self_attn\.q_proj" has 2 scales a row, expected one/,
    );
    await assertRefused([await moved("peqa"), null], /its "self_attn\.q_proj" is the base's, expected codes/);
    const at = String.raw`at "model\.layers\.0\.self_attn\.q_proj" `;
    for (const [options, difference] of [
      [{ init: "rtn" }, 'start is "clip" and "rtn"'],
      [{ scales: "row" }, 'scales is "group" and "row"'],
    ] as const) {
      const adapters = [await moved("peqa"), await moved("peqa", options)];
      await assertRefused(adapters, new RegExp(at + difference));
      await assertRefused(adapters.toReversed(), new RegExp(at));
    }
    const { base: again, checkpoint: other } = await loadModel(
      await writeTinyModel(temporaryFolder(), { seed: 2 }),
    );
    const elsewhere = await attachTo(again, findMethod("peqa"));
    await other.close();
    await assertRefused([await moved("peqa"), elsewhere], /adapter 2 has other frozen tensors at/);
    await assertRefused(
      [await moved("vera", {}, ["q_proj"]), await moved("vera", { projectionSeed: 1 }, ["v_proj"])],
      /adapter 2 has another vera_A than those before it/,
    );
    await assertRefused(
      [await moved("lora", { modulesToSave: ["lm_head"] })],
      /one has a "lm_head\.weight" of its own/,
    );
  });

  test("takes adapters that started from the weight, and those of methods that have rows alike", async () => {
    const options = { rank: 3, init: "pissa" };
    await assertRows(
      [await moved("lora", options, ["q_proj"]), await moved("dora", options, ["q_proj"]), null],
      [0, 1, 2, 0],
    );
  });

  test("a row that has no part in an update as large as a weight meets no number of it", async () => {
    const [first, second] = [await moved("snell"), await moved("snell", { rank: 3 }, ["q_proj"], 6)];
    const broken = await moved("snell", {}, ["q_proj", "down_proj"], 7);
    changeValues(broken, () => Number.NaN);
    const rows = new PickedRows(await formRows(engine, base, first));
    for (const adapter of [broken, second]) assert.ok(rows.add(await formRows(engine, base, adapter)));
    /** Whichever row each comes to. */
    const assertPicked = async (asked: readonly (Adapter | null)[], view = rows.view): Promise<void> => {
      await assertRows(asked, arrangeRows([rows], asked), view);
    };
    await assertPicked([first, null, second, first]);
    // What goes leaves a place that the next of its kind takes, in the programs that there are.
    const { view } = rows;
    rows.remove(first);
    const next = await moved("snell", { sparsity: 0.5 }, null, 8);
    assert.ok(rows.add(await formRows(engine, base, next)));
    assert.notEqual(rows.view, view, "nobody was left whose tensors lie there in between");
    await assertPicked([null, next, second, next]);
    rows.remove(broken);
    await assertPicked([second, second, next, null]);
    const [twin, heir] = [await moved("snell", {}, null, 9), await moved("snell", {}, null, 10)];
    assert.ok(rows.add(await formRows(engine, base, twin)));
    const both = rows.view;
    rows.remove(next);
    await assertPicked([twin, null, twin, second], both);
    assert.ok(rows.add(await formRows(engine, base, heir)));
    assert.equal(rows.view, both);
    await assertPicked([heir, twin, null, heir], both);
  });

  test("of adapters that go, their modules go too", async () => {
    const goes = await moved("vera", { rank: 6 }, ["q_proj", "v_proj", "down_proj"]);
    const stays = await moved("vera", { rank: 6 }, ["q_proj", "down_proj"], 6);
    const slots = new RowSlots(base, await formRows(engine, base, goes));
    assert.ok(slots.add(await formRows(engine, base, stays)));
    slots.remove(goes);
    const order = arrangeRows([slots], [stays, null, stays, null]);
    assert.deepEqual(order, [0, 1, 2, 3]);
    await assertRows([stays, null], [0, 1, 0, 1], slots.view);
  });

  test("an output whose weights are all zero stays the bias", async () => {
    const name = "model.layers.1.self_attn.v_proj.weight";
    const pruned = zeros("float32", [...base.model.tensors.get(name)!.shape]);
    const { data } = await base.values(name);
    pruned.data.set(data.subarray(pruned.shape[1]));
    const without = await withTensors(base, new Map([[name, pruned]]));
    const adapter = await attachTo(without, findMethod("dora"), {}, ["v_proj"]);
    const batch = unpacked(examples);
    const rows = await logitsOf(
      engine,
      without,
      await stackAdapters(engine, without, [adapter]),
      batch,
      [0, 0, 0, 0],
    );
    const alone = await logitsOf(engine, without, adapter, batch);
    assert.ok(rows.every((value, i) => Math.abs(value - alone[i]!) < 1e-5));
  });

  test("copies: an adapter that changes later does not change the batch", async () => {
    const adapter = await moved("road");
    const overlay = await stackAdapters(engine, base, [adapter]);
    const batch = unpacked(examples);
    const adapterOf = examples.map(() => 0);
    const before = await logitsOf(engine, base, overlay, batch, adapterOf);
    changeValues(adapter, () => 0);
    assert.deepEqual(await logitsOf(engine, base, overlay, batch, adapterOf), before);
  });
});
