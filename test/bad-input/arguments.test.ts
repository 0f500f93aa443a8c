/** What plain JavaScript passes to the library's functions by mistake is refused by name, as a `UsageError`, and nothing hangs. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import * as core from "../../src/core.ts";
import * as graft from "../../src/index.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";

const folder = temporaryFolder();
const path = await writeTinyModel(join(folder, "model"));
const chats = join(folder, "chats.jsonl");
writeTinyChats(chats, 4);

const { base, checkpoint } = await graft.loadModel(path);
const tokenizer = graft.createTokenizer(checkpoint.tokenizerFiles!);
const template = graft.createChatTemplate(checkpoint.tokenizerFiles!);
const reading = { tokenizer, template, maxLength: 64 };
const { train: examples } = await graft.readDataset(chats, reading);
const engine = graft.createEngine({ threads: 1 });
const session = new graft.Session(engine, base);
const method = graft.METHODS.find(({ name }) => name === "lora")!;
const adapter = await graft.attach(base, { method, options: {} }, new graft.Random(0));
const model = await graft.openTextModel(path, { threads: 1 });
const prompt = model.encodePrompt("ka");
const evaluator = await graft.Evaluator.create(session, null);
const numbers = new Map([["x", new Float32Array(2)]]);
const order = { gradientAccumulationSteps: 1, packing: false, maxLength: 64, shuffle: true, seed: 0 };
const plan = { examples, batchSize: 2, ...order };
const training = { model: path, data: chats, output: join(folder, "never"), steps: 1 };
const text = { promptIds: prompt, maxNewTokens: 1 };
const moved = graft.exportText({ ...text, adapter: null }, []);
const written = { engine, base, checkpoint, adapter, path: join(folder, "never-onnx") };
const origin = { base, checkpoint, chatTemplateHash: null };

/** What is never right. */
const WRONG: readonly unknown[] = [null, Number.NaN, -1, 1.5, true, 1n, Symbol("a symbol")];
const [LIST, OBJECT, FUNCTION]: readonly unknown[] = [[], {}, () => {}];

/** A function that is called with one wrong argument, what that is called in messages, and what else is wrong there. */
type Door = readonly [call: (wrong: never) => unknown, name: string, ...others: readonly unknown[]];

const DOORS: Readonly<Record<string, readonly Door[]>> = {
  openTextModel: [
    [(options) => graft.openTextModel(path, options), "options", LIST, FUNCTION],
    [(adapterPath) => graft.openTextModel(path, { adapterPath }), "options.adapterPath", "", LIST, OBJECT],
    [(name) => graft.openTextModel(path, { name }), "options.name", "", LIST, OBJECT],
    [(methods) => graft.openTextModel(path, { methods }), "options.methods", "x", OBJECT],
    [
      (it) => graft.openTextModel(path, { mergeAdapter: it === true ? (1 as never) : it }),
      "options.mergeAdapter",
      "x",
    ],
    [(it) => graft.openTextModel(path, { base: it }), "options.base", "x", LIST],
  ],
  write: [
    [(ids) => model.write(ids, { maxNewTokens: 1 }), "promptIds", OBJECT, "x"],
    [(signal) => model.write(prompt, { maxNewTokens: 1, signal }), "signal", OBJECT, "x", { aborted: false }],
    [
      (grammar) => model.write(prompt, { maxNewTokens: 1, grammar: grammar ?? ("x" as never) }),
      "grammar",
      OBJECT,
    ],
    [(onLogits) => model.write(prompt, { maxNewTokens: 1, onLogits }), "onLogits", OBJECT],
    [(onText) => model.write(prompt, { maxNewTokens: 1 }, onText), "onText", OBJECT],
    [
      (it) => model.write(prompt, { maxNewTokens: 1, goesOn: it === true ? (1 as never) : it }),
      "goesOn",
      OBJECT,
      "x",
    ],
    [(it) => model.writeAll([{ ...text, goesOn: it === true ? (1 as never) : it }]), "goesOn", OBJECT, "x"],
    [(prompts) => model.writeAll(prompts), "prompts", OBJECT, "x"],
    [(signal) => model.writeAll([text], signal), "signal", OBJECT, "x"],
    [(one) => model.writeAll([one]), "promptIds", OBJECT],
    [(it) => model.encodePrompt(it), "text", LIST, OBJECT],
    [(it) => model.encodeChat(it), "messages", OBJECT, "x"],
    [(stopIds) => model.generator.complete({ ...text, stopIds }), "stopIds", OBJECT, [1.5]],
    [(it) => model.generator.switchTo(it ?? (1 as never)), "adapter", OBJECT],
    [(name) => model.tasks.switch(name ?? (1 as never)), "name", OBJECT, LIST],
    [(to) => model.tasks.load("a", to), "folder", OBJECT, ""],
    [(it) => new graft.Conversation(it), "model", OBJECT],
    [(it) => new graft.Conversation(model).ask(it, { maxNewTokens: 1 }), "question", OBJECT],
    [(promptIds) => graft.exportText({ promptIds, maxNewTokens: 1 }, []), "promptIds", OBJECT],
    [(it) => graft.importText(it), "moved", LIST],
    [(promptIds) => graft.importText({ ...moved, promptIds }), "promptIds", OBJECT],
  ],
  train: [
    [(hooks) => graft.train(training, hooks), "hooks", LIST, FUNCTION],
    [(signal) => graft.train(training, { signal }), "hooks.signal", OBJECT],
    [(onEvent) => graft.train(training, { onEvent }), "hooks.onEvent", OBJECT],
    [(workers) => graft.trainAveraged(training, { workers, syncEvery: 1 }), "options.workers", LIST, 1e9],
    [(syncEvery) => graft.trainAveraged(training, { workers: 2, syncEvery }), "options.syncEvery", 0, "x"],
    [(it) => graft.endRound("x", { from: 0, until: 1, adapter: "x" }, it), "contributions", LIST],
    [(it) => graft.outerStep(it, [], null, { learningRate: 1, momentum: 0 }), "current", OBJECT],
    [(it) => graft.outerStep(numbers, it, null, { learningRate: 1, momentum: 0 }), "contributions", LIST],
    [(it) => graft.planSteps(it), "options", LIST],
    [(batchSize) => graft.planSteps({ ...plan, batchSize }), "options.batchSize", 0, "x"],
    [
      (seed) => graft.planSteps({ ...plan, seed: seed === -1 ? ("x" as never) : seed }),
      "options.seed",
      OBJECT,
    ],
    [(it) => graft.toBatch(it), "rows", OBJECT],
    [(it) => graft.unitsToBatch([it]), "units.0", OBJECT, { ids: [1], weights: [1] }],
    [(it) => graft.estimateFisher(session, adapter, it), "units", OBJECT],
    [(it) => evaluator.evaluate(it), "units", LIST, OBJECT],
    [(it) => evaluator.evaluate([{ ...examples[0]!, ids: it }]), "units.0", LIST, OBJECT],
    [(it) => evaluator.evaluate(examples, it), "options", LIST, FUNCTION],
    [(it) => evaluator.evaluate(examples, { onProgress: it }), "options.onProgress", OBJECT],
    [async (it) => await graft.fineTune(it).next(), "request", LIST],
    [
      async (signal) => await graft.fineTune({ hooks: { signal } } as never).next(),
      "request.hooks.signal",
      OBJECT,
    ],
  ],
  models: [
    [(options) => graft.loadModel(path, options), "options", LIST, FUNCTION],
    [(signal) => graft.resolveModel(path, { signal }), "options.signal", OBJECT],
    [(it) => graft.readAdapter(it, base), "path", "", LIST],
    [(it) => core.readAdapter(it, base), "folder", OBJECT],
    [(it) => core.readAdapter(core.memoryFolder("none", {}), it), "base", OBJECT],
    [(it) => core.loadWeights("model", it), "checkpoint", OBJECT],
    [(it) => core.memoryFolder("model", it), "files"],
    [(it) => core.memoryFolder("model", { "config.json": it }), "files.config.json", LIST, OBJECT],
    [(it) => core.adapterFiles(it, origin), "adapter", OBJECT],
    [(it) => graft.writeAdapter(it, adapter, origin), "path", "", LIST],
    [(it) => new graft.Session(it, base), "engine", OBJECT],
    [(it) => new graft.Session(engine, it), "base", OBJECT],
    [(it) => graft.attach(it, { method, options: {} }, null), "base", OBJECT],
    [(it) => graft.attach(base, { method: it, options: {} }, null), "request.method", OBJECT],
    [(it) => graft.attach(base, { method, options: {} }, it ?? ("x" as never)), "random", OBJECT],
    [(it) => graft.mergeAdapter(engine, base, it), "adapter", OBJECT],
    [(it) => graft.combineAdapters({ expression: it, adapters: {} }), "input.expression", LIST],
    [(it) => graft.writeFisher(join(folder, "none"), it), "fisher", OBJECT],
    [(it) => graft.writeOnnxModel(it), "request", LIST],
    [(it) => graft.writeOnnxModel({ ...written, path: it }), "request.path", "", LIST],
    [(it) => graft.writeOnnxModel({ ...written, adapter: it ?? ("x" as never) }), "request.adapter", OBJECT],
    [(it) => graft.writeOnnxModel({ ...written, compute: it }), "request.compute", "int8"],
    [(it) => graft.writeOnnxModel({ ...written, dtype: it }), "request.dtype", "bf16"],
    [(it) => graft.defineMethod(it), "method", LIST],
    [(it) => graft.createEngine(it), "options", FUNCTION],
  ],
  data: [
    [(it) => graft.readDataset(it, reading), "path", "", LIST],
    [(it) => graft.readDataset(chats, { ...reading, tokenizer: it }), "options.tokenizer", OBJECT],
    [(it) => core.readExamples("", "a.jsonl", { ...reading, maxLength: it }), "options.maxLength", 0],
    [(it) => graft.createTokenizer(it), "files", LIST, OBJECT],
    [(it) => graft.createChatTemplate(it), "files", LIST, OBJECT],
    [(it) => tokenizer.encode(it), "text", LIST, OBJECT],
    [(it) => tokenizer.encodePair(it, "ab"), "first", LIST, OBJECT],
    [(it) => tokenizer.encodePair("ab", it), "second", LIST, OBJECT],
    [(it) => tokenizer.encode("ka", it), "options", FUNCTION, "x"],
    [(it) => tokenizer.decode([1], it), "options", FUNCTION, "x"],
    [(it) => tokenizer.stream(it), "options", FUNCTION, "x"],
    [(it) => graft.readImages(it, base.model), "path", "", LIST],
    [(it) => graft.imageFiles(it, 1, 1), "images", OBJECT],
    [(it) => core.decodeIdx(it, 1, "a file"), "bytes", LIST, OBJECT],
  ],
};

for (const [subject, doors] of Object.entries(DOORS)) {
  test(`wrong arguments of ${subject} are refused by name`, async () => {
    for (const [call, name, ...others] of doors) {
      for (const wrong of [...WRONG, ...others]) {
        const shown = `${String(call)} of ${typeof wrong} ${inspect(wrong)}`;
        const refusal: unknown = await Promise.resolve()
          .then(() => call(wrong as never))
          .then(
            () => null,
            (error: unknown) => error,
          );
        assert.ok(refusal instanceof graft.UsageError, `${shown}: ${String(refusal)}`);
        assert.equal(refusal.code, "usage/flag", shown);
        assert.ok(
          refusal.message.includes(`${name} is `) || refusal.message.includes(`${name}.`),
          `${shown}: ${refusal.message}`,
        );
        assert.ok(refusal.hint !== null, shown);
      }
    }
  });
}

test("draws by what is no integer are refused, and orders of what is not a list", () => {
  const random = new graft.Random(1);
  const refused = (call: () => unknown, found: RegExp): void =>
    assert.throws(call, { name: "UsageError", code: "usage/flag", message: found });
  for (const wrong of [...WRONG, 0, "3"].filter((value) => value !== -1)) {
    refused(
      () => random.integer(wrong as never),
      /^Cannot draw an integer below .*: expected an integer of 1/,
    );
    if (wrong !== 0)
      refused(() => new graft.Random(1, wrong as never), /^Cannot draw by seed .*: expected an integer$/);
  }
  refused(() => random.integer(-1), /below -1/);
  for (const wrong of [...WRONG, OBJECT]) refused(() => random.shuffle(wrong as never), /^Cannot shuffle /);
});

test("an adapter that no memory holds is told to be too large", async () => {
  for (const name of ["lora", "dora", "vera"]) {
    const large = graft.METHODS.find((each) => each.name === name)!;
    for (const rank of [1e12, Number.MAX_SAFE_INTEGER]) {
      await assert.rejects(
        graft.attach(base, { method: large, options: { rank } }, new graft.Random(1)),
        { name: "CapacityError", code: "capacity/memory", message: /^Cannot make .*, expected no more/ },
        `${name} of rank ${rank}`,
      );
    }
  }
});

test("examples are looked at once, at the door that they come through", async () => {
  let numLooks = 0;
  const looked = examples.map((example) =>
    Object.defineProperty({ ...example }, "source", {
      get: () => (numLooks++, example.source),
    }),
  );
  const looksOf = async (call: () => unknown): Promise<number> => {
    numLooks = 0;
    await call();
    return numLooks / looked.length;
  };
  assert.equal(await looksOf(() => evaluator.evaluate(looked)), 1);
  assert.equal(await looksOf(() => graft.unitsToBatch(looked)), 1);
  assert.equal(await looksOf(() => graft.toBatch([looked as never])), 1);
});

test("an option that there is not is told by its name", async () => {
  for (const [call, name] of [
    [() => graft.createEngine({ thread: 1 } as never), "options.thread"],
    [() => graft.resolveModel(path, { sgnal: 1 } as never), "options.sgnal"],
    [() => graft.loadModel(path, { bse: "q4" } as never), "options.bse"],
    [() => core.loadWeights(path, checkpoint, { nam: "x" } as never), "options.nam"],
    [() => graft.openTextModel(path, { bse: "q4" } as never), "options.bse"],
    [() => new graft.Session(engine, base, "stored", { computes: 1 } as never), "options.computes"],
    [() => graft.Evaluator.create(session, null, { objectiv: 1 } as never), "options.objectiv"],
    [() => graft.planSteps({ ...plan, batchsize: 2 } as never), "options.batchsize"],
    [() => graft.fineTune({ ...plan, sed: 1 } as never).next(), "request.sed"],
    [() => graft.attach(base, { method, target: {} } as never, null), "request.target"],
    [() => graft.attach(base, { method, targets: { module: [] } } as never, null), "targets.module"],
    [() => graft.readDataset(chats, { ...reading, trainon: "all" } as never), "options.trainon"],
    [() => core.readExamples("", "a.jsonl", { ...reading, trainon: "all" } as never), "options.trainon"],
    [() => graft.writeAdapter(folder, adapter, { ...origin, record: "x" } as never), "origin.record"],
    [() => tokenizer.encode("ka", { addSpecial: false } as never), "options.addSpecial"],
    [() => tokenizer.decode([1], { skipSpecial: true } as never), "options.skipSpecial"],
    [() => tokenizer.stream({ before: [] } as never), "options.before"],
  ] as const) {
    await assert.rejects(async () => await call(), {
      code: "usage/flag",
      message: new RegExp(`\\b${name} is not a setting`),
    });
  }
});

test("what is told of a wrong argument is its kind, not its contents", () => {
  assert.throws(() => new graft.Session({ weights: new Float32Array(1e6) } as never, base), {
    message:
      'Cannot use the arguments of Session(): engine is {"weights":"a Float32Array"}, expected an engine, as createEngine() returns it',
    hint: "See the declaration of Session() for its arguments.",
  });
});

test("after wrong arguments a model writes as before", async () => {
  assert.equal((await model.write(prompt, { maxNewTokens: 3 })).ids.length, 3);
  await model.close();
  await session.release();
  await checkpoint.close();
});
