import assert from "node:assert/strict";
import { test } from "node:test";
import type { TextNeeds } from "./service-targets.ts";
import { type Situation, type TurnKind, type TurnPolicy, findPolicy } from "./turn-policies.ts";
import { Turns } from "./turns.ts";

const needsOf = (more: Partial<TextNeeds> = {}): TextNeeds => ({
  numRunning: 1,
  numWaiting: 0,
  maxRunning: 16,
  hasPrompts: false,
  decodeSlackMs: 1000,
  promptSlackMs: Infinity,
  promptTokenMs: 2,
  ...more,
});
const turnsOf = (policy: TurnPolicy, numRunning = 0): Turns =>
  new Turns({ policy, needs: () => needsOf({ numRunning }), now: () => 0 });

/** Runs a training of some blocks beside steps of texts that never end; tells who ran, as "b" and "s". */
async function order(policy: TurnPolicy, numBlocks: number, active = 16): Promise<string> {
  const ran: string[] = [];
  const turns = turnsOf(policy, active);
  const texts = { areOver: false };
  const writing = (async () => {
    while (!texts.areOver) {
      await turns.take("step");
      if (!texts.areOver) ran.push("s");
      await new Promise(setImmediate);
      turns.giveBack();
    }
  })();
  const { betweenBlocks, rest } = turns.training();
  for (let block = 0; block < numBlocks; block++) {
    await betweenBlocks();
    ran.push("b");
    await new Promise(setImmediate);
  }
  texts.areOver = true;
  rest();
  await writing;
  return ran.join("");
}

test("between two blocks run as many steps as the policy says", async () => {
  assert.match(await order(findPolicy("adaptive"), 4, 1), /^s?bsbsbsbs?$/);
  assert.match(await order(findPolicy("adaptive"), 3, 16), /^s?bsssssbsssssbs?$/);
  assert.match(await order(findPolicy("train-first"), 9), /^s?bbbbsbbbbsbs?$/);
  assert.match(await order(findPolicy("serve-first"), 2), /^s?bs{50}bs?$/);
});

const situation = (texts: Partial<TextNeeds>, last: TurnKind = "block", tookMs = 50): Situation => ({
  last: { kind: last, tookMs },
  blockMs: 50,
  texts: needsOf(texts),
});

test("the adaptive policy gives what Loquetier's scheduler gives", () => {
  const steps = (numRunning: number): number => {
    const decider = findPolicy("adaptive").decider();
    let count = 0;
    let last: TurnKind = "block";
    while (decider.next(situation({ numRunning }, last)) === (last = "step")) count++;
    return count;
  };
  assert.deepEqual([0, 1, 3, 4, 7, 8, 12, 13, 16, 40].map(steps), [1, 1, 1, 2, 3, 3, 4, 5, 5, 5]);
});

test("by slack a text goes on when its token would be late after one more block", () => {
  const decider = findPolicy("slack").decider();
  assert.equal(decider.next(situation({ decodeSlackMs: 51 })), "block");
  assert.equal(decider.next(situation({ decodeSlackMs: 49 })), "step");
  assert.equal(decider.next(situation({ hasPrompts: true })), "step");
});

test("by slack a prompt runs as far as no other text is late for it", () => {
  const decider = findPolicy("slack").decider();
  const shapeOf = (texts: Partial<TextNeeds>): unknown => decider.shape?.(situation(texts), 256);
  assert.deepEqual(shapeOf({}), { decodes: true, prefillTokens: 256 });
  assert.deepEqual(shapeOf({ hasPrompts: true, decodeSlackMs: 200 }), { decodes: false, prefillTokens: 100 });
  assert.deepEqual(shapeOf({ hasPrompts: true, decodeSlackMs: -5 }), { decodes: true, prefillTokens: 64 });
  const late = { hasPrompts: true, decodeSlackMs: 200, promptSlackMs: -1 };
  assert.deepEqual(shapeOf(late), { decodes: false, prefillTokens: 256 });
});

test("by slack a training has a tenth of the time however late texts are", () => {
  const decider = findPolicy("slack").decider();
  const turns: TurnKind[] = ["step"];
  for (let i = 0; i < 500; i++) turns.push(decider.next(situation({ decodeSlackMs: -1000 }, turns.at(-1))));
  const numBlocks = turns.filter((kind) => kind === "block").length;
  assert.ok(numBlocks >= 45 && numBlocks <= 55, `${numBlocks} blocks`);
});

test("by slack a token that is due waits for one block, however much a training is behind", () => {
  const decider = findPolicy("slack").decider();
  assert.equal(decider.next(situation({ hasPrompts: true }, "step", 5000)), "block");
  assert.equal(decider.next(situation({ decodeSlackMs: -1000 })), "step");
});

test("a training alone runs block after block, and gives the machine back at its end", async () => {
  const turns = turnsOf(findPolicy("serve-first"));
  const [one, other] = [turns.training(), turns.training()];
  await one.betweenBlocks();
  await one.betweenBlocks();
  let hasOther = false;
  const waits = other.betweenBlocks().then(() => (hasOther = true));
  await new Promise(setImmediate);
  assert.equal(hasOther, false);
  one.rest();
  one.rest();
  await waits;
  other.rest();
  await turns.take("step");
});
