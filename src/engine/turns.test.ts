import assert from "node:assert/strict";
import { test } from "node:test";
import { TURN_POLICIES, type TurnPolicy, type TurnPolicyName, Turns } from "./turns.ts";

const policyOf = (name: TurnPolicyName): TurnPolicy =>
  TURN_POLICIES.find((policy) => policy.name === name) as TurnPolicy;

/** Runs a training of some blocks beside steps of texts that never end; tells who ran, as "b" and "s". */
async function order(policy: TurnPolicy, numBlocks: number, active = 16): Promise<string> {
  const ran: string[] = [];
  const turns = new Turns(policy, () => ({ numRunning: active, numWaiting: 0, maxRunning: 16 }));
  const texts = { areOver: false };
  const writing = (async () => {
    while (!texts.areOver) {
      await turns.take();
      if (!texts.areOver) ran.push("s");
      await new Promise(setImmediate);
      turns.giveBack();
    }
  })();
  const { betweenBlocks, end } = turns.training();
  for (let block = 0; block < numBlocks; block++) {
    await betweenBlocks();
    ran.push("b");
    await new Promise(setImmediate);
  }
  texts.areOver = true;
  end();
  await writing;
  return ran.join("");
}

test("between two blocks run as many steps as the policy says", async () => {
  assert.match(await order(policyOf("adaptive"), 4, 1), /^s?bsbsbsbs?$/);
  assert.match(await order(policyOf("adaptive"), 3, 16), /^s?bsssssbsssssbs?$/);
  assert.match(await order(policyOf("train-first"), 9), /^s?bbbbsbbbbsbs?$/);
  assert.match(await order(policyOf("serve-first"), 2), /^s?bs{50}bs?$/);
});

test("the adaptive policy gives what Loquetier's scheduler gives", () => {
  const steps = (active: number): number =>
    policyOf("adaptive").stepsPerBlock({ numRunning: active, numWaiting: 0, maxRunning: 16 });
  assert.deepEqual([0, 1, 3, 4, 7, 8, 12, 13, 16, 40].map(steps), [1, 1, 1, 2, 3, 3, 4, 5, 5, 5]);
});

test("a training alone runs block after block, and gives the machine back at its end", async () => {
  const turns = new Turns(policyOf("serve-first"), () => ({ numRunning: 0, numWaiting: 0, maxRunning: 1 }));
  const [one, other] = [turns.training(), turns.training()];
  await one.betweenBlocks();
  await one.betweenBlocks();
  let hasOther = false;
  const waits = other.betweenBlocks().then(() => (hasOther = true));
  await new Promise(setImmediate);
  assert.equal(hasOther, false);
  one.end();
  one.end();
  await waits;
  other.end();
  await turns.take();
});
