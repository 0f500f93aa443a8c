/** @file What a step holds at a time: activations of one micro-batch, of the branches that are kept, or streams alone; logits of one chunk. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeExample, type Example } from "../../src/data/examples/example.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { Random } from "../../src/random.ts";
import { HEAD_CHUNK } from "../../src/run/head/label-head.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { StepRunner } from "../../src/train/step/step-runner.ts";
import { accumulateLoss, attachTo, lossAndGradients, unpacked } from "../passes/model-passes.ts";
import { watchRuns } from "../passes/watched-runs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const [ROWS, LENGTH] = [8, 64];
const folder = temporaryFolder();
const engine = createEngine({ threads: 1 });

const open = async (numLayers: number) => {
  const config = { num_hidden_layers: numLayers };
  const { base } = await openUntilEnd(await writeTinyModel(`${folder}/${numLayers}`, { config }));
  return base;
};
const [shallow, deep] = [await open(4), await open(8)];

/** Rows that are learned from the second token on. */
const rows = Array.from({ length: ROWS }, (_, line): Example => {
  const random = new Random(1, line);
  return makeExample(
    Array.from({ length: LENGTH }, () => random.integer(256)),
    () => true,
    { file: "random", line },
  );
});

interface Step {
  readonly base: typeof deep;
  readonly numMicroBatches?: number;
  readonly recompute?: boolean;
  /** Of each block. */
  readonly dropped?: readonly (readonly string[])[];
}

/** Bytes that one step lends, all that it needs at a time. */
async function bytesOfStep({ base, numMicroBatches = 1, recompute = false, dropped }: Step): Promise<number> {
  const session = new Session(engine, base);
  const adapter = await attachTo(base, lora);
  const steps = await StepRunner.create({ session, adapter, recompute, seed: null });
  if (dropped) steps.dropBranches(dropped);
  steps.gradients.begin();
  for (let micro = 0; micro < numMicroBatches; micro++) {
    const own = rows.slice((micro * ROWS) / numMicroBatches, ((micro + 1) * ROWS) / numMicroBatches);
    await accumulateLoss(steps, unpacked(own), 1, 0, micro);
  }
  steps.gradients.finish();
  const { allocatedBytes } = session.pool;
  await steps.release();
  await session.release();
  return allocatedBytes;
}

describe("memory of a step", async () => {
  const whole = await bytesOfStep({ base: deep });
  const streamBytes = 4 * ROWS * LENGTH * deep.model.width;

  test("of k micro-batches is a k-th of that of one", async () => {
    for (const numMicroBatches of [2, 4, 8]) {
      const share = (await bytesOfStep({ base: deep, numMicroBatches })) / whole;
      assert.ok(Math.abs(share * numMicroBatches - 1) < 0.1, `${numMicroBatches}: ${share}`);
    }
  });

  test("with recomputation grows by a stream for each block, without by all that the block saves", async () => {
    const numMore = deep.model.numLayers - shallow.model.numLayers;
    const more =
      (await bytesOfStep({ base: deep, recompute: true })) -
      (await bytesOfStep({ base: shallow, recompute: true }));
    assert.equal(more, numMore * streamBytes);
    assert.ok(whole - (await bytesOfStep({ base: shallow })) > 8 * more);
  });

  test("without the backward pass of branches has nothing of what these save", async () => {
    const { layers } = deep.model;
    const names = layers[0]!.branches.map(({ name }) => name);
    const none = await bytesOfStep({ base: deep, dropped: layers.map(() => []) });
    assert.equal(none, whole);
    const half = await bytesOfStep({ base: deep, dropped: layers.map((_, i) => (i % 2 === 0 ? names : [])) });
    assert.ok(half < 0.65 * whole, `${half} of ${whole}`);
  });
});

test("logits are those of one chunk of positions at a time, with the loss and the gradients of all", async () => {
  const lengths: number[] = [];
  const counting = watchRuns(engine, (spec, feeds) => {
    if (spec.name.startsWith("head"))
      lengths.push(
        ...Object.entries(feeds).flatMap(([name, { shape }]) => (name === "labels" ? [shape[0]!] : [])),
      );
  });
  const adapter = await attachTo(deep, lora);
  const together = await lossAndGradients(counting, deep, adapter, [unpacked(rows)]);
  assert.ok(lengths.length >= 2 && Math.max(...lengths) <= HEAD_CHUNK, lengths.join(" "));
  assert.equal(
    lengths.reduce((sum, length) => sum + length),
    ROWS * (LENGTH - 1),
  );
  const apart = await lossAndGradients(
    engine,
    deep,
    adapter,
    rows.map((row) => unpacked([row])),
  );
  assert.ok(Math.abs(together.loss / apart.loss - 1) < 1e-6);
  for (const [name, gradient] of together.gradients) {
    const other = apart.gradients.get(name)!;
    const distance = Math.hypot(...gradient.map((value, i) => value - other[i]!));
    assert.ok(distance <= 1e-5 * Math.hypot(...gradient), `${name} is ${distance} apart`);
  }
});
