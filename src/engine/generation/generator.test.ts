/** Tests on a tiny random model: equality with the full forward pass, ends, reuse of the cache, memory. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Session } from "../../run/session.ts";
import { loadModel } from "../../format/by-path.ts";
import type { Adapter } from "../../peft/attach.ts";
import { lora } from "../../peft/methods/lora.ts";
import { trainableTokens } from "../../peft/methods/trainable-tokens.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { toBatch } from "../../data/batches/batch.ts";
import { makeExample } from "../../data/examples/example.ts";
import { attachTo, logitsOf, perturb } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { TaskSet } from "./task-set.ts";
import { type GenerateRequest, type GeneratedToken, Generator } from "./generator.ts";

const VOCAB = 259;
const engine = createEngine({ threads: 1 });
const { base, checkpoint } = await loadModel(await writeTinyModel(temporaryFolder()));
const session = new Session(engine, base);
after(async () => {
  await session.release();
  await checkpoint.close();
});

const ramp = (length: number): number[] => Array.from({ length }, (_, i) => (i * 37 + 11) % 256);

/** Logits of every position, computed in one pass without a cache. */
async function fullLogits(ids: readonly number[], adapter: Adapter | null = null) {
  const batch = toBatch([[makeExample(ids, () => true, { file: "test", line: 1 })]]);
  return await logitsOf(engine, base, adapter, batch);
}

/** Generates, and compares the logits of every choice with the full pass over what was written. */
async function assertEqualsFullForward(
  generator: Awaited<ReturnType<typeof Generator.create>>,
  request: GenerateRequest,
  adapter: Adapter | null = null,
): Promise<void> {
  const seen: Float32Array[] = [];
  const { ids } = await generator.complete({ ...request, onLogits: (logits) => seen.push(logits.slice()) });
  assert.equal(ids.length, request.maxNewTokens);
  const full = await fullLogits([...request.promptIds, ...ids], adapter);
  for (const [i, logits] of seen.entries()) {
    const at = (request.promptIds.length - 1 + i) * VOCAB;
    let largest = 0;
    logits.forEach((logit, id) => {
      largest = Math.max(largest, Math.abs(logit - full[at + id]!));
    });
    assert.ok(largest <= 2e-5, `token ${i}: logits are ${largest} apart`);
    assert.equal(ids[i], logits.indexOf(Math.max(...logits)));
  }
}

test("cached decoding equals the full forward pass, for prompts of one token, some, and more than a chunk", async () => {
  const generator = await Generator.create({ session, adapter: null });
  for (const length of [1, 7, 256, 300]) {
    await assertEqualsFullForward(generator, { promptIds: ramp(length), maxNewTokens: 6 });
  }
});

test("an adapter takes part in prefill and decoding", async () => {
  const adapter = await attachTo(base, lora, { rank: 4 });
  perturb(adapter, 0.1);
  const generator = await Generator.create({ session, adapter });
  await assertEqualsFullForward(generator, { promptIds: ramp(9), maxNewTokens: 5 }, adapter);
  const plain = await fullLogits(ramp(9));
  const adapted = await fullLogits(ramp(9), adapter);
  assert.ok(plain.some((logit, i) => Math.abs(logit - adapted[i]!) > 0.01));
});

test("a prompt that begins like the last sequence runs only what is new, with the same result", async () => {
  const generator = await Generator.create({ session, adapter: null });
  const first = await generator.complete({ promptIds: ramp(20), maxNewTokens: 8 });
  assert.equal(first.numReusedTokens, 0);
  const goesOn = [...ramp(20), ...first.ids, 5, 6, 7];
  // The last new token was chosen but never run.
  const again = await generator.complete({ promptIds: goesOn, maxNewTokens: 4 });
  // By whole pages of 16.
  assert.equal(again.numReusedTokens, 16);
  await assertEqualsFullForward(generator, { promptIds: [...ramp(12), 1, 2], maxNewTokens: 4 });
  const same = await generator.complete({ promptIds: goesOn, maxNewTokens: 4 });
  assert.deepEqual([same.numReusedTokens, same.ids], [16, again.ids]);
  // The logits of the last token of a prompt are needed, so it runs again.
  const repeated = await generator.complete({ promptIds: goesOn, maxNewTokens: 4 });
  assert.deepEqual([repeated.numReusedTokens, repeated.ids], [16, again.ids]);
});

test("a stop id ends the text and is its last id; length and a full model end it as well", async () => {
  const generator = await Generator.create({ session, adapter: null });
  const free = await generator.complete({ promptIds: ramp(5), maxNewTokens: 6 });
  assert.equal(free.finishReason, "length");
  const stopId = free.ids[3]!;
  const cut = free.ids.slice(0, free.ids.indexOf(stopId) + 1);
  const tokens: GeneratedToken[] = [];
  const stopped = await generator.complete(
    { promptIds: ramp(5), maxNewTokens: 6, stopIds: [stopId] },
    (token) => tokens.push(token),
  );
  assert.deepEqual([stopped.finishReason, stopped.ids], ["stop", cut]);
  assert.deepEqual(tokens.at(-1), { id: stopId, index: cut.length - 1, isStop: true, logProbs: null });
  const full = await generator.complete({ promptIds: ramp(510), maxNewTokens: 50 });
  assert.deepEqual([full.finishReason, full.ids.length], ["length", 3]);
  const none = await generator.complete({ promptIds: ramp(5), maxNewTokens: 0 });
  assert.deepEqual([none.finishReason, none.ids, none.tokensPerSecond], ["length", [], 0]);
});

test("the signal ends the text between two tokens and before the first, and the cache stays right", async () => {
  const generator = await Generator.create({ session, adapter: null });
  const stop = new AbortController();
  const stopped = await generator.complete(
    { promptIds: ramp(6), maxNewTokens: 50, signal: stop.signal },
    ({ index }) => index === 2 && stop.abort(),
  );
  assert.deepEqual([stopped.finishReason, stopped.ids.length], ["aborted", 3]);
  const never = await generator.complete({ promptIds: ramp(6), maxNewTokens: 5, signal: stop.signal });
  assert.deepEqual([never.finishReason, never.ids], ["aborted", []]);
  await assertEqualsFullForward(generator, { promptIds: ramp(6), maxNewTokens: 5 });
});

test("a reader who stops early frees the generator, and two at once are refused", async () => {
  const generator = await Generator.create({ session, adapter: null });
  const request = { promptIds: ramp(4), maxNewTokens: 9 };
  for await (const token of generator.generate(request)) {
    if (token.index === 1) break;
    await assert.rejects(generator.complete(request), {
      message: "Cannot generate: another generation is in progress",
    });
  }
  assert.equal((await generator.complete(request)).ids.length, 9);
});

test("prompts that are empty, too long or of foreign ids are usage errors", async () => {
  const generator = await Generator.create({ session, adapter: null });
  const refuse = async (promptIds: readonly number[], code: string, message: RegExp): Promise<void> => {
    await assert.rejects(generator.complete({ promptIds, maxNewTokens: 1 }), {
      code,
      message,
    });
  };
  await refuse([], "usage/flag", /the prompt is empty/);
  await refuse(ramp(513), "usage/length", /513 tokens, expected at most 512/);
  await refuse([3, VOCAB], "usage/flag", /id 259, expected ids below 259/);
  assert.equal((await generator.complete({ promptIds: ramp(512), maxNewTokens: 5 })).ids.length, 1);
});

test("draws depend on the seed alone", async () => {
  const generator = await Generator.create({ session, adapter: null });
  const draw = async (seed: number): Promise<readonly number[]> => {
    const sampling = { temperature: 1.5, topK: 0, topP: 1, minP: 0 };
    return (await generator.complete({ promptIds: ramp(5), maxNewTokens: 12, sampling, seed })).ids;
  };
  const [one, same, other] = [await draw(1), await draw(1), await draw(2)];
  assert.deepEqual(one, same);
  assert.notDeepEqual(one, other);
});

test("a program that could not be compiled is compiled when it is asked for again", async () => {
  const failed: string[] = [];
  const compile: typeof engine.compile = (spec, options) => {
    if (failed.includes(spec.name)) return engine.compile(spec, options);
    failed.push(spec.name);
    return Promise.reject(new Error("no memory"));
  };
  const own = new Session({ ...engine, compile }, base);
  const write = async (): Promise<readonly number[]> => {
    const generator = await Generator.create({ session: own, adapter: null });
    return (await generator.complete({ promptIds: ramp(5), maxNewTokens: 2 })).ids;
  };
  // Each fails once: what is before the blocks, the blocks, the head. Two of them are compiled side by side.
  for (let i = 0; i < 2; i++) await assert.rejects(write, /no memory/);
  assert.equal(failed.length, 3);
  assert.equal((await write()).length, 2);
  await own.release();
});

test("a task that could not be held for a batch is held when the next one asks for it", async () => {
  let isOut = false;
  const compile: typeof engine.compile = (spec, options) =>
    isOut ? Promise.reject(new Error("no memory")) : engine.compile(spec, options);
  const own = new Session({ ...engine, compile }, base);
  const generator = await Generator.create({ session: own, adapter: null });
  // Its rows have a program of their own before the blocks.
  const adapter = await attachTo(base, trainableTokens);
  const task = { name: "a", path: "a", adapter, chatTemplateHash: null };
  const tasks = new TaskSet({ base, generator, read: () => assert.fail("it is read") }, task);
  const write = () => tasks.writeRows([{ promptIds: ramp(5), maxNewTokens: 2 }]);
  isOut = true;
  await assert.rejects(write, /no memory/);
  isOut = false;
  const [text] = await write();
  assert.equal(text?.ids.length, 2);
  tasks.release();
  await own.release();
});
