/**
 * @file Hours of texts beside trainings, on a virtual clock: who is served in time, what a training keeps of its speed, and
 * that nobody starves. What runs take is assumed: about that of a small model in 8 bits on two idle cores.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_TARGETS } from "../../src/engine/scheduling/service-targets.ts";
import { TURN_POLICIES, type TurnPolicyName, findPolicy } from "../../src/engine/scheduling/turn-policies.ts";
import {
  type Arrival,
  type Costs,
  type VirtualOptions,
  type VirtualOutcome,
  attainment,
  serveVirtually,
  trainThenServe,
} from "./virtual-machine.ts";
import { burstGpt, bursts, gathered, scalable, stable, staggered } from "./workloads.ts";

const COSTS: Costs = {
  decode: (numRows) => 16 + numRows,
  prefill: (numTokens) => 12 + 1.2 * numTokens,
  forward: 8,
  backward: 16,
  numBlocks: 30,
};

const serve = (
  name: TurnPolicyName,
  arrivals: readonly Arrival[],
  more: Partial<VirtualOptions> = {},
): Promise<VirtualOutcome> =>
  serveVirtually({
    policy: findPolicy(name),
    costs: COSTS,
    targets: DEFAULT_TARGETS,
    arrivals,
    numTrainings: 1,
    ...more,
  });
/** The same texts, whose adapters share passes. */
const sharing = (arrivals: readonly Arrival[]): Arrival[] => arrivals.map((text) => ({ ...text, group: 0 }));
const shareOf = ({ shares }: VirtualOutcome): number => shares.reduce((sum, share) => sum + share, 0);
const attained = ({ texts }: VirtualOutcome): number => attainment(texts, DEFAULT_TARGETS);

test("one text a second: all in time, and a training keeps four fifths of its speed by slack alone", async () => {
  const shares = new Map<string, number>();
  for (const { name } of TURN_POLICIES) {
    const outcome = await serve(name, stable(100, 1000));
    assert.equal(outcome.texts.length, 100);
    assert.equal(attained(outcome), 1, name);
    shares.set(name, shareOf(outcome));
  }
  const others = TURN_POLICIES.filter(({ name }) => name !== "slack").map(({ name }) => shares.get(name)!);
  assert.ok(shares.get("slack")! >= 0.8, `${shares.get("slack")}`);
  assert.ok(Math.max(...others) < 0.8, others.join(" "));
  assert.ok(shares.get("train-first")! > shares.get("adaptive")!);
  assert.ok(shares.get("adaptive")! > shares.get("serve-first")!);
});

test("four adapters that cannot share a pass, each with a text every four seconds: in time by slack", async () => {
  const outcome = await serve("slack", staggered(4, 200, 4000));
  assert.equal(outcome.texts.length, 800);
  assert.equal(attained(outcome), 1);
  assert.ok(shareOf(outcome) > 0.6, `${shareOf(outcome)}`);
  // Where they share passes, as adapters of one method and of unlike ones do, a training keeps as much as beside one adapter.
  const together = await serve("slack", sharing(staggered(4, 200, 4000)));
  assert.equal(attained(together), 1);
  assert.ok(shareOf(together) >= 0.8, `${shareOf(together)}`);
});

test("under every load a prompt that could run, or a token that is due, waits for one block backward at most", async () => {
  const loads = {
    stable: stable(100, 1000),
    staggered: staggered(4, 25, 4000),
    scalable: scalable(0.2),
    gathered: gathered(160, 160_000),
    bursts: bursts(4, 40, 60_000),
    "more than can be written": stable(300, 60),
  };
  for (const [name, arrivals] of Object.entries(loads)) {
    const { longestHoldMs } = await serve("slack", arrivals);
    assert.ok(longestHoldMs <= COSTS.backward, `${name}: ${longestHoldMs} ms`);
  }
  // By counts there are at most as many blocks between two steps as there are for a step.
  const held = async (name: TurnPolicyName): Promise<number> =>
    (await serve(name, stable(100, 1000))).longestHoldMs;
  assert.ok((await held("adaptive")) <= COSTS.backward);
  assert.ok((await held("serve-first")) <= COSTS.backward);
  assert.ok((await held("train-first")) <= 4 * COSTS.backward);
});

test("a load that changes: in time by slack, and more training than by any other policy", async () => {
  const bySlack = await serve("slack", scalable());
  assert.equal(bySlack.texts.length, 630);
  assert.equal(attained(bySlack), 1);
  for (const { name } of TURN_POLICIES) {
    if (name === "slack") continue;
    const other = shareOf(await serve(name, scalable(0.2)));
    assert.ok(shareOf(bySlack) > other + 0.1, `${name}: ${other}`);
  }
});

test("as texts came to a public service, at most 7 a second: in time by slack, and a training keeps four fifths of its speed", async () => {
  const arrivals = burstGpt(40);
  assert.equal(arrivals.length, 2821);
  const outcome = await serve("slack", arrivals);
  assert.equal(outcome.texts.length, arrivals.length);
  assert.equal(attained(outcome), 1);
  assert.ok(shareOf(outcome) > 0.8, `${shareOf(outcome)}`);
  const texts = trainThenServe({ costs: COSTS, arrivals }, shareOf(outcome) * outcome.totalMs, 25);
  const first = attainment(texts, DEFAULT_TARGETS);
  assert.ok(first < 0.1, `${first} of them where training is first`);
});

test("texts around one time: in time by slack, and a training keeps four fifths of its speed", async () => {
  const outcome = await serve("slack", gathered(800, 800_000));
  assert.equal(attained(outcome), 1);
  assert.ok(shareOf(outcome) > 0.8, `${shareOf(outcome)}`);
});

test("by counts a training is slower by what the texts' steps take between two blocks: one for one text, five for all places", async () => {
  const blockMs = (COSTS.forward + COSTS.backward) / 2;
  for (const [numTexts, numSteps] of [
    [1, 1],
    [16, 5],
  ] as const) {
    const long = Array.from({ length: numTexts }, () => ({ atMs: 0, prompt: 1, tokens: 4000, group: 0 }));
    const share = shareOf(await serve("adaptive", long));
    const expected = blockMs / (blockMs + numSteps * COSTS.decode(numTexts));
    assert.ok(Math.abs(share / expected - 1) < 0.01, `${share} of the time, expected ${expected}`);
  }
});

test("training first and then serving one adapter at a time, in equal time, serves a fraction of the texts in time", async () => {
  const ratios = [];
  for (const arrivals of [stable(400, 1000), scalable(), staggered(4, 200, 4000)]) {
    const outcome = await serve("slack", sharing(arrivals));
    const texts = trainThenServe({ costs: COSTS, arrivals }, shareOf(outcome) * outcome.totalMs, 25);
    assert.equal(texts.length, arrivals.length);
    ratios.push(attained(outcome) / attainment(texts, DEFAULT_TARGETS));
  }
  assert.ok(ratios[0]! > 20, ratios.join(" "));
  assert.ok(ratios[1]! >= 46, ratios.join(" "));
  assert.ok(ratios[2]! > 20, ratios.join(" "));
  // A training that goes on as long as texts come, as Loquetier's does, leaves none of them in time.
  const after = trainThenServe({ costs: COSTS, arrivals: staggered(4, 200, 4000) }, 800_000, 25);
  assert.equal(attainment(after, DEFAULT_TARGETS), 0);
});

test("forty texts at once: the queue is served before a training, which goes on", async () => {
  const outcome = await serve("slack", bursts(4, 40, 60_000));
  assert.ok(outcome.texts.every(({ waitMs }) => waitMs <= DEFAULT_TARGETS.queueMs));
  assert.ok(outcome.longestPauseMs < 1000, `${outcome.longestPauseMs}`);
  const first = await serve("serve-first", bursts(4, 40, 60_000));
  assert.ok(attained(outcome) > 0.85 * attained(first), `${attained(outcome)} against ${attained(first)}`);
});

test("more texts than the machine can write: every one ends, and a training has its tenth", async () => {
  const outcome = await serve("slack", stable(300, 60));
  assert.equal(outcome.texts.length, 300);
  const share = shareOf(outcome);
  assert.ok(share > 0.08 && share < 0.4, `${share}`);
  assert.ok(outcome.longestPauseMs < 1500, `${outcome.longestPauseMs}`);
});

test("pages for a few texts alone: every one ends, and the training goes on", async () => {
  const outcome = await serve("slack", stable(60, 300), { numPages: 20 });
  assert.equal(outcome.texts.length, 60);
  assert.ok(shareOf(outcome) > 0.08, `${shareOf(outcome)}`);
});

test("trainings share what texts leave, block by block", async () => {
  const alone = await serve("slack", stable(100, 1000));
  const outcome = await serve("slack", stable(100, 1000), { numTrainings: 3 });
  assert.equal(attained(outcome), 1);
  assert.ok(Math.abs(shareOf(outcome) - shareOf(alone)) < 0.02);
  for (const share of outcome.shares) assert.ok(Math.abs(share - shareOf(outcome) / 3) < 0.01);
});

test("without a training texts never wait for their targets", async () => {
  const outcome = await serve("slack", stable(100, 1000), { numTrainings: 0 });
  assert.ok(outcome.texts.every(({ tokenMs }) => tokenMs < 80));
});
