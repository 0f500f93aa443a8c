import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { writeTinyAdapter } from "../../test/tiny/adapter.ts";
import { byteTokenizerFiles } from "../../test/tiny/byte-tokenizer.ts";
import { createChatTemplate } from "../data/chat/chat-template.ts";
import { temporaryFolder, writeTinyModel } from "../../test/tiny/model.ts";
import { Conversation } from "./conversation.ts";
import type { SamplingOptions } from "./sampling/sampler.ts";
import { openTextModel } from "./open-text-model.ts";
import type { TaskPrompt, TextRequest, WrittenText } from "./text-model.ts";
import { waitFor } from "../../test/process/wait-for.ts";
import { readJson } from "../../test/files/read-json.ts";
import { FAMILIES } from "../models/families.ts";
import type { Family } from "../models/family.ts";

const folder = temporaryFolder();
const modelPath = await writeTinyModel(join(folder, "model"));
const IM_END = 257;

/** Writes an adapter of the tiny model whose numbers are far from the start, and returns its folder. */
const writeAdapter = (name: string, chatTemplateHash: string | null): Promise<string> =>
  writeTinyAdapter(modelPath, join(folder, name), "lora", 3, {
    options: { rank: 2 },
    deviation: 0.5,
    chatTemplateHash,
  });

test("a prompt is encoded without eos, a chat through the template up to the answer", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  assert.deepEqual(model.encodePrompt("ab"), [97, 98]);
  const { tokenizer } = model.parts;
  assert.equal(
    tokenizer.decode(model.encodeChat([{ role: "user", content: "ab" }])),
    "<|im_start|>user\nab<|im_end|>\n<|im_start|>assistant\n",
  );
  assert.deepEqual(model.stopIds, [IM_END]);
  await model.close();
});

test("a template that tells the time tells that of each text", async () => {
  const chatTemplate = join(folder, "time.jinja");
  writeFileSync(chatTemplate, "{{ strftime_now('%S') }} {{ messages[0].content }}");
  const model = await openTextModel(modelPath, { threads: 1, chatTemplate });
  const told = (): string =>
    model.parts.tokenizer.decode(model.encodeChat([{ role: "user", content: "ab" }]));
  const first = told();
  assert.match(first, /^\d\d ab$/);
  const later = await waitFor(() => (told() === first ? null : told()));
  assert.match(later, /^\d\d ab$/);
  await model.close();
});

test("a model of a family of one's own writes, where the family is handed in", async () => {
  const config = { model_type: "hedgehog" };
  const path = await writeTinyModel(join(folder, "hedgehog"));
  writeFileSync(
    join(path, "config.json"),
    JSON.stringify({ ...readJson(join(path, "config.json")), ...config }),
  );
  await assert.rejects(openTextModel(path), { code: "usage/model", message: /model type "hedgehog"/ });
  const llama = FAMILIES.find(({ modelType }) => modelType === "llama")!;
  const hedgehog: Family = { ...llama, modelType: "hedgehog", gguf: "not-in-gguf" };
  const families = [...FAMILIES, hedgehog];
  const ids = [modelPath, path].map(async (name) => {
    const model = await openTextModel(name, { threads: 1, families });
    const written = await model.write([97, 98], { maxNewTokens: 6 });
    await model.close();
    return written.ids;
  });
  assert.deepEqual(await ids[1], await ids[0]);
  await assert.rejects(openTextModel(path, { families: [{} as Family] }), { code: "usage/flag" });
  const twice = [...FAMILIES, { ...hedgehog, modelType: "llama" }];
  await assert.rejects(openTextModel(path, { families: twice }), {
    code: "usage/flag",
    message: /options\.families .*two of which have model_type "llama"/,
  });
});

test("a signal stops opening a model that has to be fetched, and what is told of that is a function", async () => {
  const signal = AbortSignal.abort(new Error("not any more"));
  await assert.rejects(openTextModel(modelPath, { threads: 1, signal }), { message: "not any more" });
  await assert.rejects(openTextModel(modelPath, { onProgress: 1 as never }), {
    code: "usage/flag",
    message: /options\.onProgress is 1, expected a function/,
  });
});

test("to close a model twice does no harm, and nothing is written by it then", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  await model.close();
  await model.close();
  const request = { promptIds: [97], maxNewTokens: 1 };
  const refused = { name: "UsageError", code: "usage/state", message: /released/ };
  await assert.rejects(model.write([97], { maxNewTokens: 1 }), refused);
  await assert.rejects(model.writeAll([request]), refused);
  await assert.rejects(model.generator.complete(request), refused);
  await assert.rejects(model.tasks.load("late", await writeAdapter("late", null)), refused);
  for (const name of [null, "late"]) await assert.rejects(model.tasks.switch(name), refused);
  await assert.rejects(model.tasks.unload("late"), refused);
  assert.throws(() => model.tasks.get("late"), refused);
  assert.throws(() => model.encodePrompt("ka"), refused);
  assert.throws(() => model.encodeChat([{ role: "user", content: "ka" }]), refused);
  await assert.rejects(model.grammarOf({ type: "object" }), refused);
});

test("a model that is closed writes first what it was asked for, and nothing that is asked for meanwhile", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const request = { promptIds: [97, 98], maxNewTokens: 20 };
  const batch = model.writeAll([request, request]);
  const text = model.write([97, 98], { maxNewTokens: 20 });
  const [closed, again] = [model.close(), model.close()];
  await assert.rejects(model.writeAll([request]), { code: "usage/state" });
  assert.deepEqual(
    [...(await batch), await text].map(({ ids }) => ids.length),
    [20, 20, 20],
  );
  await Promise.all([closed, again]);
});

test("of a long batch no more than twice what runs together is in the engine, and texts come in the order of their prompts", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const { engine } = model.generator;
  const requests = Array.from({ length: 100 }, (_, i) => ({ promptIds: [97 + (i % 9)], maxNewTokens: 3 }));
  let most = 0;
  const written = await model.writeAll(requests, undefined, () => {
    most = Math.max(most, engine.stats.numRunning + engine.stats.numWaiting);
  });
  assert.ok(most >= engine.maxRunning && most <= 2 * engine.maxRunning, `${most}`);
  assert.deepEqual(
    written.map(({ promptIds }) => promptIds),
    requests.map(({ promptIds }) => promptIds),
  );
  const texts = new Map(written.map(({ promptIds, ids }) => [promptIds[0], ids.join()]));
  assert.equal(texts.size, 9);
  for (const { promptIds, ids } of written) assert.equal(ids.join(), texts.get(promptIds[0]));
  await model.close();
});

test("a signal ends a batch, and its texts are not told as whole", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const controller = new AbortController();
  const requests = [1, 50, 50].map((maxNewTokens) => ({ promptIds: [97], maxNewTokens }));
  const told: number[] = [];
  const written = await model.writeAll(requests, controller.signal, (_, row) => {
    told.push(row);
    controller.abort();
  });
  assert.deepEqual(
    written.map(({ finishReason }) => finishReason),
    ["length", "aborted", "aborted"],
  );
  assert.deepEqual(told, [0]);
  await model.close();
});

test("a stream that is read by half ends when its model is closed", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const stream = model.generator.generate({ promptIds: [97], maxNewTokens: 500 });
  await stream.next();
  await model.close();
  let end = await stream.next();
  for (let i = 0; i < 500 && !end.done; i++) end = await stream.next();
  assert.equal(end.done && end.value.finishReason, "aborted");
});

test("write() tells pieces that join to the text, which is that of the ids without special tokens", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const pieces: string[] = [];
  const sampling = { temperature: 2, topK: 0, topP: 1, minP: 0 };
  const promptIds = model.encodePrompt("hello");
  const written = await model.write(promptIds, { maxNewTokens: 60, sampling, seed: 4 }, (piece) =>
    pieces.push(piece),
  );
  assert.equal(pieces.join(""), written.text);
  assert.equal(written.text, model.parts.tokenizer.decode(written.ids, { skipSpecialTokens: true }));
  assert.deepEqual(written.promptIds, promptIds);
  await model.close();
});

test("what onText throws or rejects with ends the text, and no other", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const prompt = model.encodePrompt("ab");
  const pieces: string[] = [];
  const fail = (piece: string): void => {
    if (pieces.push(piece) === 3) throw new Error("nobody listens");
  };
  for (const onText of [fail, async (piece: string) => fail(piece)]) {
    pieces.length = 0;
    await assert.rejects(model.write(prompt, { maxNewTokens: 64 }, onText), /nobody listens/);
    assert.equal(pieces.length, 3);
  }
  // Also where it is told of nothing more.
  const late = async (): Promise<void> => Promise.reject(new Error("too late"));
  await assert.rejects(model.write(prompt, { maxNewTokens: 1 }, late), /too late/);
  assert.equal((await model.write(prompt, { maxNewTokens: 4 })).ids.length, 4);
  await model.close();
});

test("settings of a text that mean nothing are refused by name, and what is left out of a draw is that of the flags", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const promptIds = model.encodePrompt("hello");
  const draw = { temperature: 2, topK: 0, topP: 1, minP: 0 };
  const refused: readonly (readonly [object, string])[] = [
    [{ maxNewTokens: NaN }, "maxNewTokens is NaN, expected a whole number of at least 0"],
    [{ maxNewTokens: -1 }, "maxNewTokens is -1, expected a whole number of at least 0"],
    [{}, "maxNewTokens is missing"],
    [{ sampling: { ...draw, topK: 1.5 } }, "sampling.topK is 1.5, expected a whole number of at least 0"],
    [
      { sampling: { ...draw, temperature: -1 } },
      "sampling.temperature is -1, expected a number of at least 0",
    ],
    [{ sampling: { ...draw, topp: 1 } }, "sampling.topp is not a setting, the nearest is topP"],
    [{ seed: 0.5 }, "seed is 0.5, expected a whole number"],
    [{ temperature: 2 }, "temperature is not a setting"],
  ];
  for (const [settings, found] of refused) {
    const given = found.startsWith("maxNewTokens") ? settings : { maxNewTokens: 3, ...settings };
    const error = { code: "usage/flag", message: `Cannot use these settings of a text: ${found}` };
    await assert.rejects(model.write(promptIds, given as TextRequest), error);
    await assert.rejects(model.writeAll([{ ...(given as TaskPrompt), promptIds }]), error);
  }
  const short: SamplingOptions = { temperature: 2 };
  const [whole, part] = [draw, short].map(
    async (sampling) => (await model.write(promptIds, { maxNewTokens: 8, sampling, seed: 1 })).ids,
  );
  assert.deepEqual(await part, await whole);
  await model.close();
});

test("a text is held to the JSON schema of its grammar, and schemas that cannot be held are refused", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const grammar = await model.grammarOf({ enum: ["ab", "cd"] });
  const draw = { temperature: 2, topK: 0, topP: 1, minP: 0 };
  const request = { promptIds: [97], maxNewTokens: 40, sampling: draw, grammar };
  for (let seed = 0; seed < 4; seed++) {
    const [row] = await model.writeAll([{ ...request, seed }]);
    const alone = await model.write([97], { ...request, seed });
    for (const { text, finishReason } of [row!, alone]) {
      assert.equal(finishReason, "stop", text);
      assert.ok(["ab", "cd"].includes(JSON.parse(text) as string), text);
    }
  }
  await assert.rejects(model.grammarOf({ type: "text" }), { code: "usage/grammar" });
  await assert.rejects(model.grammarOf("x" as unknown as object), { code: "usage/flag" });
  await model.close();
});

test("an arithmetic that there is not is refused by name", async () => {
  await assert.rejects(openTextModel(modelPath, { compute: "int9" as "int8" }), {
    code: "usage/flag",
    message: 'Cannot use compute "int9": expected one of f32, int8, w4, direct',
    hint: 'Did you mean "int8"?',
  });
});

test("kinds to which no base is rounded are refused by name", async () => {
  for (const base of ["bf16", "u4", "iq4_nl"] as const)
    await assert.rejects(openTextModel(modelPath, { base }), {
      code: "usage/flag",
      message: new RegExp(`options.base is "${base}", expected one of q8_0, q4_0`),
    });
});

test("ways to keep weights that there are not, and models without a name, are refused by name", async () => {
  const message = 'Cannot use weights "int9": expected one of stored, float32';
  await assert.rejects(openTextModel(modelPath, { weights: "int9" as "stored" }), {
    code: "usage/flag",
    message,
  });
  await assert.rejects(openTextModel(undefined as unknown as string), {
    code: "usage/model",
    message: "Cannot open a model by undefined: expected its name or path as a string",
  });
});

test("two texts at once are written one after another, also when the first fails", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const ask = (prompt: string, numTokens: number): Promise<WrittenText> =>
    model.write(model.encodePrompt(prompt), { maxNewTokens: numTokens });
  const [first, second] = [await ask("one", 6), await ask("two", 6)];
  const together = await Promise.all([ask("one", 6), ask("two", 6)]);
  assert.deepEqual(
    together.map(({ ids }) => ids),
    [first.ids, second.ids],
  );
  const [failed, after] = await Promise.allSettled([model.write([1e6], { maxNewTokens: 6 }), ask("one", 6)]);
  assert.equal(failed.status, "rejected");
  assert.deepEqual(after.status === "fulfilled" && after.value.ids, first.ids);
  await model.close();
});

test("a stop id of the generation settings ends the text, and its own text is left out; -1 is none", async () => {
  const path = await writeTinyModel(join(folder, "stopping"));
  const free = await openTextModel(path, { threads: 1 });
  const written = await free.write(free.encodePrompt("hello"), { maxNewTokens: 8 });
  await free.close();
  const stopId = written.ids[4]!;
  writeFileSync(join(path, "generation_config.json"), JSON.stringify({ eos_token_id: [stopId, 3, -1] }));
  const model = await openTextModel(path, { threads: 1 });
  assert.deepEqual(model.stopIds, [stopId, 3, IM_END]);
  const stopped = await model.write(model.encodePrompt("hello"), { maxNewTokens: 8 });
  const count = written.ids.indexOf(stopId);
  assert.deepEqual(
    [stopped.finishReason, stopped.ids, stopped.text],
    [
      "stop",
      written.ids.slice(0, count + 1),
      model.parts.tokenizer.decode(written.ids.slice(0, count), { skipSpecialTokens: true }),
    ],
  );
  await model.close();
});

test("an adapter changes what is written; one of another chat template says so", async () => {
  const { hash } = createChatTemplate(byteTokenizerFiles());
  const [same, other] = [await writeAdapter("same", hash), await writeAdapter("other", "0".repeat(64))];
  const request = { maxNewTokens: 12 };
  const texts: string[] = [];
  for (const [adapterPath, numNotes] of [
    [undefined, 0],
    [same, 0],
    [other, 1],
  ] as const) {
    const model = await openTextModel(modelPath, adapterPath === undefined ? {} : { adapterPath });
    assert.equal(model.parts.notes.length, numNotes);
    texts.push((await model.write(model.encodePrompt("hello"), request)).text);
    await model.close();
  }
  assert.notEqual(texts[0], texts[1]);
  assert.equal(texts[1], texts[2]);
});

test("a model without a tokenizer is refused by name, before its weights are read", async () => {
  const path = await writeTinyModel(join(folder, "mute"));
  rmSync(join(path, "tokenizer.json"));
  await assert.rejects(openTextModel(path, { name: "mute" }), {
    code: "usage/model",
    message: 'Cannot use model "mute" on text: it has no tokenizer.json',
    hint: /save_pretrained/,
  });
});

test("ask() keeps the conversation, and each turn runs only what is new", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const conversation = new Conversation(model, "be brief");
  const first = await conversation.ask("hi", { maxNewTokens: 5 });
  assert.deepEqual(conversation.messages, [
    { role: "system", content: "be brief" },
    { role: "user", content: "hi" },
    { role: "assistant", content: first.text },
  ]);
  const second = await conversation.ask("more", { maxNewTokens: 5 });
  // By whole pages of 16.
  const numFull = first.promptIds.length - (first.promptIds.length % 16);
  assert.ok(numFull > 0 && second.numReusedTokens >= numFull, `${second.numReusedTokens} reused`);
  assert.deepEqual(second.promptIds, model.encodeChat(conversation.messages.slice(0, -1)));
  conversation.reset();
  assert.deepEqual(conversation.messages, [{ role: "system", content: "be brief" }]);
  await model.close();
});

test("what is asked at once is answered in turn, whatever becomes of the questions before", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const conversation = new Conversation(model);
  const request = { maxNewTokens: 2 };
  const answers = await Promise.allSettled(
    ["first", "x".repeat(600), "second"].map((question) => conversation.ask(question, request)),
  );
  assert.deepEqual(
    answers.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
  const questions = conversation.messages.filter(({ role }) => role === "user");
  assert.deepEqual(
    questions.map(({ content }) => content),
    ["first", "second"],
  );
  await model.close();
});

test("what was asked before a reset is answered, and forgotten with the rest", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const conversation = new Conversation(model, "brief");
  const request = { maxNewTokens: 4 };
  let numAnswered = 0;
  const before = [
    conversation.ask("one", request, () => {
      if (numAnswered++ === 0) conversation.reset();
    }),
    conversation.ask("two", request),
  ];
  await Promise.all(before);
  assert.deepEqual(conversation.messages, [{ role: "system", content: "brief" }]);
  await conversation.ask("three", request);
  assert.equal(conversation.messages[1]?.content, "three");
  await model.close();
});

test("a stopped answer stays as far as it went; a question without an answer does not", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const conversation = new Conversation(model);
  const stop = new AbortController();
  const answer = await conversation.ask("hi", { maxNewTokens: 90, signal: stop.signal }, () => stop.abort());
  assert.equal(answer.finishReason, "aborted");
  assert.ok(answer.text !== "" && answer.ids.length < 90);
  assert.equal(conversation.messages.length, 2);
  await conversation.ask("again", { maxNewTokens: 9, signal: stop.signal });
  assert.equal(conversation.messages.length, 2);
  await assert.rejects(conversation.ask("x".repeat(600), { maxNewTokens: 1 }), { code: "usage/length" });
  assert.equal(conversation.messages.length, 2);
  await model.close();
});

test("what is longer than the context loses its oldest turns, and the conversation goes on", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const conversation = new Conversation(model, "be brief");
  const numDropped: number[] = [];
  for (let turn = 0; turn < 12; turn++) {
    const answer = await conversation.ask(`${turn} ${"x".repeat(50)}`, { maxNewTokens: 8 });
    numDropped.push(answer.numDroppedTurns);
    assert.ok(answer.promptIds.length + 8 <= model.parts.base.model.maxPositions);
    assert.deepEqual(answer.promptIds, model.encodeChat(conversation.messages.slice(0, -1)));
  }
  assert.ok(numDropped.some((count) => count > 0) && numDropped[0] === 0, numDropped.join());
  assert.equal(conversation.messages[0]?.role, "system");
  assert.match(conversation.messages.at(-2)?.content ?? "", /^11 x/);
  // More than one turn at a time, so that the next question finds the cache as it was.
  assert.equal(
    numDropped.some((count, i) => count > 0 && (numDropped[i + 1] ?? 0) > 0),
    false,
  );
  await model.close();
});

test("setSystem() replaces the system's message alone", async () => {
  const model = await openTextModel(modelPath, { threads: 1 });
  const conversation = new Conversation(model);
  await conversation.ask("hi", { maxNewTokens: 2 });
  conversation.setSystem("be brief");
  assert.deepEqual(
    conversation.messages.map(({ role }) => role),
    ["system", "user", "assistant"],
  );
  conversation.setSystem(null);
  assert.equal(conversation.messages[0]?.role, "user");
  await model.close();
});

test("the template's refusal of messages passes through", async () => {
  const path = await writeTinyModel(join(folder, "strict"));
  const configPath = join(path, "tokenizer_config.json");
  const config = readJson(configPath);
  config["chat_template"] = "{{ raise_exception('no system') }}";
  rmSync(join(path, "chat_template.jinja"), { force: true });
  writeFileSync(configPath, JSON.stringify(config));
  const model = await openTextModel(path, { threads: 1 });
  await assert.rejects(new Conversation(model).ask("hi", { maxNewTokens: 1 }), {
    code: "usage/chat-template",
  });
  await model.close();
});

test("thoughts between special tokens are shown, and are no part of later turns", async () => {
  const path = await writeTinyModel(join(folder, "thinking"));
  const file = join(path, "tokenizer.json");
  const marks = new Map([
    ["<|im_start|>", "<|channel>"],
    ["<|endoftext|>", "<channel|>"],
  ]);
  const renamed = [...marks].reduce(
    (text, [from, to]) => text.replaceAll(from, to),
    readFileSync(file, "utf8"),
  );
  writeFileSync(file, renamed);
  const chatTemplate = join(folder, "thinking.jinja");
  writeFileSync(chatTemplate, "{% for m in messages %}{{ m.content }}|{% endfor %}{# <channel|> #}");
  const model = await openTextModel(path, { threads: 1, chatTemplate });
  const thought = model.encodePrompt("<|channel>thought\nhm<channel|>yes");
  assert.ok(thought.length < 16);
  // A grammar that has one text.
  const grammar = {
    begin: () => {
      const rest = [...thought];
      return {
        restrict: (logits: Float32Array) => logits.fill(-Infinity).fill(0, rest[0], rest[0]! + 1),
        accept: () => rest.shift(),
        get isDone() {
          return rest.length === 0;
        },
      };
    },
  };
  const conversation = new Conversation(model);
  const answer = await conversation.ask("hi", { maxNewTokens: 40, grammar });
  assert.equal(answer.text, "<|channel>thought\nhm<channel|>yes");
  assert.deepEqual(conversation.messages.at(-1), { role: "assistant", content: "yes" });
  const [same] = await model.writeAll([{ promptIds: [97], maxNewTokens: 40, grammar }]);
  assert.equal(same?.text, answer.text);
  await model.close();
});
