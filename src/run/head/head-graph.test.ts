/** @file Which programs of the head there are: those in the session's arithmetic serve all adapters. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadModel } from "../../format/by-path.ts";
import { COMPUTES } from "../../nn/computes.ts";
import { zeros } from "../../runtime/host-tensor.ts";
import { type AdapterView, NO_ADAPTER } from "../../peft/adapter-view.ts";
import { findMethod } from "../../peft/methods.ts";
import { attachTo } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { type HeadProgramKind, headArithmetic, headProgram } from "./head-graph.ts";

const { base, checkpoint } = await loadModel(await writeTinyModel(join(temporaryFolder(), "headed")));
after(() => checkpoint.close());

const [lora, road] = await Promise.all(["lora", "road"].map((name) => attachTo(base, findMethod(name))));
const onHead = await attachTo(base, findMethod("lora"), {}, ["lm_head"]);

const factsOf = (name: keyof typeof COMPUTES) => ({ compute: COMPUTES[name], model: base.model, base });

test("int8 has programs of the head with gradients, direct without, f32 none; an adapter on the head has its own", () => {
  const kinds: readonly HeadProgramKind[] = ["logits", "loss", "lossAndGradients"];
  const rounds = (name: keyof typeof COMPUTES, adapter: AdapterView): readonly boolean[] =>
    kinds.map((kind) => headArithmetic(factsOf(name), adapter, kind) !== null);
  assert.deepEqual(rounds("int8", NO_ADAPTER), [true, true, true]);
  assert.deepEqual(rounds("int8", lora!), [true, true, true]);
  assert.deepEqual(rounds("direct", NO_ADAPTER), [true, true, false]);
  assert.deepEqual(rounds("f32", NO_ADAPTER), [false, false, false]);
  assert.deepEqual(rounds("int8", onHead), [false, false, false]);
});

test("adapters of all methods share programs in the session's arithmetic, and have their own in float32", () => {
  const keysIn = (name: keyof typeof COMPUTES): Set<string> => {
    const kind = "logits";
    const arithmetic = headArithmetic(factsOf(name), NO_ADAPTER, kind);
    const variant = { kind, training: false, arithmetic } as const;
    return new Set(
      [NO_ADAPTER, lora!, road!].map((adapter) => headProgram(base.model, adapter, variant).key),
    );
  };
  assert.equal(keysIn("direct").size, 1);
  assert.equal(keysIn("int8").size, 1);
  assert.equal(keysIn("f32").size, 3);
});

test("direct has another product of many rows, with factors where they were measured; f32 and int8 have one", () => {
  const keyOf = (name: keyof typeof COMPUTES, amount: "any" | "many"): string | null => {
    const arithmetic = headArithmetic(factsOf(name), NO_ADAPTER, "logits", amount);
    return (
      arithmetic && headProgram(base.model, NO_ADAPTER, { kind: "logits", training: false, arithmetic }).key
    );
  };
  assert.notEqual(keyOf("direct", "any"), keyOf("direct", "many"));
  assert.equal(keyOf("f32", "many"), null);
  const { name } = base.model.headTensor;
  const measured = { ...factsOf("direct"), smoothing: new Map([[name, zeros("float32", [1])]]) };
  const takesFactors = (amount: "any" | "many"): boolean | undefined =>
    headArithmetic(measured, NO_ADAPTER, "logits", amount)?.isSmoothed(name);
  assert.deepEqual([takesFactors("any"), takesFactors("many")], [false, true]);
});
