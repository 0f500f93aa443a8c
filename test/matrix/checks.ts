/** @file What must hold of every method on every family, whatever form the model lies in. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { type Batch, toBatch } from "../../src/data/batches/batch.ts";
import { makeExample } from "../../src/data/examples/example.ts";
import { factsOf } from "../../src/data/batches/pass-facts.ts";
import { Generator } from "../../src/engine/generation/generator.ts";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { Session } from "../../src/run/session.ts";
import { measureSmoothing } from "../../src/run/smoothing.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import {
  attachTo,
  examplesFor,
  logitsOf,
  logitsOfEach,
  lossAndGradients,
  openPasses,
  trainSteps,
  withTensors,
} from "../passes/model-passes.ts";
import { assertReadBack } from "../conformance/read-back.ts";
import { alongDirection } from "../passes/trained-values.ts";
import type { Cell } from "./cells.ts";
import type { FormedModel } from "./forms.ts";
import { assertGradientsNear, assertNear, shareApart } from "./nearness.ts";
import { largestDifference } from "../reference/differences.ts";
import { float64Engine } from "../reference/float64-engine.ts";

/** A cell as its checks have it. */
export interface Subject {
  readonly engine: Engine;
  readonly cell: Cell;
  /** A folder to write the adapter to. */
  readonly savedPath: string;
  /** The model, which is opened once. */
  open(this: void): Promise<FormedModel>;
  /** The model with an adapter that has been moved from its start. */
  adapted(this: void, options?: object): Promise<FormedModel & { readonly adapter: Adapter }>;
}

/** Parameters that their own graph takes for constants: their gradient is not the slope of the loss by definition. */
const DETACHED: Readonly<Record<string, RegExp>> = { dora: /lora_[AB]\.weight$/ };

/** Options under which the loss has no corners within the step of the check. */
const SMOOTH: Readonly<Record<string, object>> = { snell: { sparsity: 0 } };

/** Where an arithmetic that rounds weights finds them so rounded: elsewhere its model is another, with other gradients. */
const ROUNDED_IN: Readonly<Record<string, string>> = { w4: "4 bits in memory" };

function batchOf({ model }: BaseModel): Batch {
  return toBatch(examplesFor(model, [9, 6, 4]).map((example) => [example]));
}

function textBatch(ids: readonly number[]): Batch {
  return toBatch([[makeExample(ids, (i) => i > 0, { file: "test", line: 1 })]]);
}

async function gradientIsTheSlope({ engine, cell: { method }, adapted }: Subject): Promise<void> {
  const { base, adapter } = await adapted(SMOOTH[method]);
  const batch = batchOf(base);
  const passes = await openPasses(engine, base, adapter);
  const kept = await passes.lossAndGradients([batch]);
  const anew = await lossAndGradients(engine, base, adapter, [batch], { recompute: true });
  assertGradientsNear(anew.gradients, kept.gradients);
  const gradient = adapter.parameters.flatMap(({ name, value }) => {
    const own = DETACHED[method]?.test(name) ? undefined : kept.gradients.get(name);
    return [...(own ?? new Float32Array(value.data.length))];
  });
  const { norm, moveTo } = alongDirection(adapter, gradient);
  const lossAt = async (by: number): Promise<number> => {
    moveTo(by);
    return await passes.loss(batch);
  };
  // Where a router's choice changes, the loss jumps: then a shorter step tells, or that to the other side. A wrong
  // gradient is wrong at every step and on both sides.
  const here = await lossAt(0);
  const slopes: number[] = [];
  const isRight = (): boolean => slopes.some((slope) => Math.abs(slope / norm - 1) < 0.02);
  for (let step = Math.min(0.02, 5e-3 / norm), i = 0; i < 3 && !isRight(); i++, step /= 8) {
    const [above, below] = [await lossAt(step), await lossAt(-step)];
    slopes.push((above - below) / (2 * step), (above - here) / step, (here - below) / step);
  }
  await passes.release();
  assert.ok(isRight(), `slopes ${slopes.join(", ")}, gradient norm ${norm}`);
}

async function stepsLowerTheLoss({ engine, cell: { method }, open }: Subject): Promise<void> {
  const { base } = await open();
  const adapter = await attachTo(base, findMethod(method));
  const batches = Array.from({ length: 5 }, () => batchOf(base));
  const losses = await trainSteps(engine, base, adapter, batches, { learningRate: 3e-3 });
  assert.ok(losses.at(-1)! < losses[0]! - 1e-3, losses.join(", "));
}

async function arithmeticsAreNear({
  engine,
  cell: { method, form, computes },
  adapted,
}: Subject): Promise<void> {
  const { base, adapter } = await adapted(SMOOTH[method]);
  const batch = batchOf(base);
  const input = { input: batch.input, facts: factsOf(batch) };
  const exact = await lossAndGradients(engine, base, adapter, [batch]);
  for (const compute of computes) {
    const options = { compute, smoothing: await measureSmoothing(engine, base, compute, input) };
    const found = await lossAndGradients(engine, base, adapter, [batch], options);
    assert.ok(
      Math.abs(found.loss / exact.loss - 1) < 0.1,
      `${compute.name}: loss ${found.loss}, ${exact.loss} in float32`,
    );
    assert.deepEqual([...found.gradients.keys()], [...exact.gradients.keys()]);
    if ((ROUNDED_IN[compute.name] ?? form) !== form) continue;
    const [own, other] = [found, exact].map(({ gradients }) =>
      [...gradients.values()].flatMap((g) => [...g]),
    );
    const dot = own!.reduce((sum, value, i) => sum + value * other![i]!, 0);
    const cosine = dot / (Math.hypot(...own!) * Math.hypot(...other!));
    assert.ok(cosine > 0.9, `${compute.name}: cosine ${cosine} of gradients`);
  }
}

async function rowsAreTheirOwn({ engine, adapted }: Subject): Promise<void> {
  const { base, adapter } = await adapted();
  const examples = examplesFor(base.model, [8, 5, 6, 3]);
  const readsTokens = base.model.image === null;
  const batch = toBatch(
    examples.map((example) => [example]),
    readsTokens ? 11 : undefined,
  );
  const batches = [batch, ...examples.map((example) => toBatch([[example]]))];
  const [together, ...all] = await logitsOfEach(engine, [base, adapter], batches);
  const rowSize = batch.length * base.model.numOutputs;
  for (const [row, alone] of all.entries()) {
    assertNear(together!.subarray(row * rowSize, row * rowSize + alone.length), alone, 2e-5, `row ${row}`);
  }
  if (!readsTokens) return;
  const expected = await lossAndGradients(engine, base, adapter, [batch]);
  const rows = [
    [examples[2]!, examples[0]!],
    [examples[3]!, examples[1]!],
  ];
  const packed = await lossAndGradients(engine, base, adapter, [toBatch(rows)]);
  assert.ok(Math.abs(packed.loss - expected.loss) < 2e-6, `${packed.loss}, unpacked ${expected.loss}`);
  try {
    assertGradientsNear(packed.gradients, expected.gradients);
  } catch (error) {
    throw new Error(`gradients of packed rows ${await toldByFloat64()}`, { cause: error });
  }

  /** Whether it is rounding: a fault sets them apart in float64 too, or one of them from what it is there. */
  async function toldByFloat64(): Promise<string> {
    const [ofRows, ofPacked] = [
      await lossAndGradients(float64Engine(), base, adapter, [batch]),
      await lossAndGradients(float64Engine(), base, adapter, [toBatch(rows)]),
    ].map(({ gradients }) => gradients) as [typeof packed.gradients, typeof packed.gradients];
    const there = shareApart(ofPacked, ofRows);
    const [fromRows, fromPacked] = [expected, packed].map((own) => shareApart(own.gradients, ofRows));
    return `are ${there} of their size from those of rows apart in float64; in float32 ${fromPacked} from these, and those of rows apart ${fromRows}`;
  }
}

async function textIsOfTheWholePass({ engine, adapted }: Subject, t: TestContext): Promise<void> {
  const { base, adapter } = await adapted();
  if (base.model.task !== "causal-lm") return t.skip("it writes no text");
  const session = new Session(engine, base);
  const generator = await Generator.create({ session, adapter });
  const texts: { numPrompt: number; seen: Float32Array[]; batch: Batch }[] = [];
  for (const numPrompt of [1, 7, 260]) {
    const prompt = Array.from({ length: numPrompt }, (_, i) => (i * 37 + numPrompt) % 256);
    const seen: Float32Array[] = [];
    const { ids } = await generator.complete({
      promptIds: prompt,
      maxNewTokens: 6,
      onLogits: (logits) => seen.push(logits.slice()),
    });
    texts.push({ numPrompt, seen, batch: textBatch([...prompt, ...ids]) });
  }
  await session.release();
  const all = await logitsOfEach(
    engine,
    [base, adapter],
    texts.map(({ batch }) => batch),
  );
  for (const [text, { numPrompt, seen }] of texts.entries()) {
    assert.equal(seen.length, 6);
    for (const [i, logits] of seen.entries()) {
      const from = (numPrompt - 1 + i) * base.model.numOutputs;
      const whole = all[text]!.subarray(from, from + logits.length);
      assertNear(logits, whole, 5e-5, `${numPrompt} tokens, then ${i}`);
    }
  }
}

async function mergedIsAdapted({ engine, adapted }: Subject, t: TestContext): Promise<void> {
  const { base, adapter } = await adapted();
  if (adapter.method.kind === "adapter" && adapter.method.merge === "not-mergeable")
    return t.skip("its result is not a change of the weights");
  const batch = batchOf(base);
  const merged = await withTensors(base, await mergeAdapter(engine, base, adapter));
  const [expected, plain] = [
    await logitsOf(engine, base, adapter, batch),
    await logitsOf(engine, base, null, batch),
  ];
  assertNear(await logitsOf(engine, merged, null, batch), expected, 5e-5, "logits");
  assert.ok(largestDifference(expected, plain) > 1e-3, "the adapter has no effect");
}

async function readBackIsTheSame({ engine, savedPath, adapted }: Subject): Promise<void> {
  const { base, checkpoint, adapter } = await adapted();
  await assertReadBack(engine, { base, checkpoint }, { adapter, batch: batchOf(base), path: savedPath });
}

/** What holds, by sentences. */
export const CHECKS: Readonly<Record<string, (subject: Subject, t: TestContext) => Promise<void>>> = {
  "the loss changes along the gradient as the gradient says, activations kept or computed again":
    gradientIsTheSlope,
  "steps lower the loss": stepsLowerTheLoss,
  "in arithmetics that round, loss and gradients are near those in float32": arithmeticsAreNear,
  "a row of a batch gives the logits of the row alone, a packed example loss and gradients of its own":
    rowsAreTheirOwn,
  "text is written through the cache as the whole pass computes it, past every window": textIsOfTheWholePass,
  "merged weights compute what the adapted model computes": mergedIsAdapted,
  "what was saved and read computes bit for bit the same": readBackIsTheSame,
};
