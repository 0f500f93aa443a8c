/** @file Methods of one's own that break their contract are refused by name, and with what they gave. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { transpose } from "../../src/graph/ops/shapes/transpose.ts";
import { loadModel } from "../../src/format/by-path.ts";
import { partWith } from "../../src/peft/adapter-view.ts";
import { defineBaseMethod, defineMethod } from "../../src/peft/define-method.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import type { AdapterMethod, BaseMethod } from "../../src/peft/method.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

const { base, checkpoint } = await loadModel(await writeTinyModel(temporaryFolder()));
after(() => checkpoint.close());
const lora = findMethod("lora") as AdapterMethod;
const bitfit = findMethod("bitfit") as BaseMethod;
/** What code without types may define. */
const file = { ...lora.file, peftType: "OWN" };
const ownMethod = (change: object): AdapterMethod => defineMethod({ ...lora, name: "own", file, ...change });
const SITE = /method "own" at "model\.layers\.0\.self_attn\.q_proj": /;

test("a method that lacks a part of its contract is refused when it is defined", () => {
  const old = { parse: () => {}, safeParse: () => {} };
  for (const [change, says] of [
    [{ targets: {} }, "method.targets.trainedTokens is missing"],
    [{ trained: { ...lora.trained, init: undefined } }, "method.trained.init is missing"],
    [{ frozen: { ...lora.frozen, bound: null } }, "method.frozen.bound is null, expected a function"],
    [{ file: { ...lora.file, fromConfig: undefined } }, "method.file.fromConfig is missing"],
    [{ merge: { stored: "requantized" } }, "method.merge.graph is missing"],
    [{ merge: "never" }, 'method.merge is "never", expected "not-mergeable", or an object'],
    [{ merge: undefined }, "method.merge is missing"],
    [{ lookup: {} }, 'expected "not-on-embeddings" or a function'],
    [{ options: old }, "expected an object schema of zod 4"],
  ] as const) {
    assert.throws(
      () => ownMethod(change),
      (error: Error & { code?: string }) => error.code === "usage/flag" && error.message.includes(says),
      says,
    );
  }
  assert.throws(() => defineBaseMethod({ ...bitfit, result: { peftType: "OWN" } as never }), {
    code: "usage/flag",
    message: /method\.result\.claims is missing/,
  });
});

test("what adapt() and merge.graph() return is held to the projection", async () => {
  for (const [adapt, found] of [
    [() => undefined, /adapt\(\) returns undefined, expected \[B, T, 32\]/],
    [(_site: object, x: never) => transpose(x, [0, 2, 1]), /adapt\(\) returns \[B, 32, T\], expected/],
  ] as const) {
    const adapter = await attachTo(base, ownMethod({ adapt }), {}, ["q_proj"]);
    for (const message of [SITE, found]) {
      assert.throws(() => base.model.buildBlock(0, partWith(adapter, 0)), { code: "usage/flag", message });
    }
  }
  const engine = createEngine({ threads: 1 });
  for (const [graph, found] of [
    [() => undefined, /the weight that merge\.graph\(\) returns is undefined, expected \[48, 32\]/],
    [({ weight }: never) => ({ weight, bias: weight }), /the bias .* is \[48, 32\], expected \[48\]/],
    [({ weight }: never) => ({ weight: transpose(weight, [1, 0]) }), /the weight .* is \[32, 48\], expected/],
  ] as const) {
    const merge = { graph, stored: "requantized" };
    const adapter = await attachTo(base, ownMethod({ merge }), {}, ["up_proj"]);
    await assert.rejects(mergeAdapter(engine, base, adapter), { code: "usage/flag", message: found });
  }
});

test("tensors of a site have a name each, other than those of the base", async () => {
  for (const suffix of ["own", "weight"]) {
    const specs = (): readonly object[] => ["own", suffix].map((name) => ({ suffix: name, shape: [2] }));
    await assert.rejects(attachTo(base, ownMethod({ trained: { ...lora.trained, specs } }), {}, ["q_proj"]), {
      code: "usage/flag",
      message: new RegExp(`${SITE.source}two tensors are called "${suffix}"`),
    });
  }
});
