/** The engine of docs/browser.md, made of what "graft/core" exports, with onnxruntime-node in the place of onnxruntime-web. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import * as core from "../../src/core.ts";
import { createEngine, type Engine } from "../../src/index.ts";
import { codeBlocks } from "../docs/code-blocks.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";

const folder = temporaryFolder();
// As wide a head as models have whose keys and values attention extends in place.
const model = await writeTinyModel(join(folder, "model"), { config: { head_dim: 16 } });
writeTinyChats(join(folder, "chats.jsonl"), 4);

/** The functions of the page's blocks. */
async function ofPage<T>(): Promise<T> {
  const page = readFileSync(new URL("../../docs/browser.md", import.meta.url), "utf8");
  const blocks = codeBlocks(page).map(({ code }) => code);
  const source = blocks
    .join("\n")
    .replaceAll('"graft/core"', JSON.stringify(new URL("../../src/core.ts", import.meta.url).href));
  const path = join(folder, "page.ts");
  writeFileSync(path, source);
  return (await import(pathToFileURL(path).href)) as T;
}

function named<T extends { readonly name: string }>(list: readonly T[], name: string): T {
  return list.find((one) => one.name === name)!;
}

/** A step of LoRA, and five ids that the result writes. */
async function trainAndWrite(
  engine: Engine,
): Promise<{ readonly loss: number; readonly ids: readonly number[] }> {
  const files = readdirSync(model).map(
    (name) => [name, new Blob([readFileSync(join(model, name))])] as const,
  );
  const checkpoint = await core.openCheckpoint(core.memoryFolder("memory", Object.fromEntries(files)));
  const base = await core.loadWeights("memory", checkpoint);
  const tokenizer = core.createTokenizer(checkpoint.tokenizerFiles!);
  const template = core.createChatTemplate(checkpoint.tokenizerFiles!);
  const rows = readFileSync(join(folder, "chats.jsonl"), "utf8");
  const { examples } = core.readExamples(rows, "chats.jsonl", { tokenizer, template, maxLength: 64 });
  const method = named(core.METHODS, "lora");
  const adapter = await core.attach(base, { method, options: { rank: 4 } }, new core.Random(0));
  const session = new core.Session(engine, base);
  const [objective, optimizer] = [named(core.OBJECTIVES, "cross-entropy"), named(core.OPTIMIZERS, "adamw")];
  const order = { gradientAccumulationSteps: 1, packing: false, maxLength: 64, shuffle: true, seed: 0 };
  const run = core.fineTune({
    session,
    adapter,
    plan: core.planSteps({ examples, batchSize: 4, ...order }),
    totalSteps: 1,
    toBatch: (units) => core.unitsToBatch(units.flat()),
    maxLength: 64,
    objective: { objective, options: objective.options.parse({}) },
    reference: null,
    optimizer: {
      optimizer,
      options: optimizer.options.parse({}),
      schedule: named(core.SCHEDULES, "constant"),
      learningRate: 1e-2,
      warmupSteps: 0,
      weightDecay: 0,
      maxGradNorm: 1,
    },
    evaluation: null,
    recompute: false,
    dropBp: null,
    seed: 0,
    store: core.NO_STORE,
    saveEverySteps: null,
    logEverySteps: 1,
    settings: {},
    hooks: { peakMegabytes: () => 0 },
  });
  let loss = Number.NaN;
  for await (const event of run) if (event.event === "step") ({ loss } = event);
  const generator = await core.Generator.create({ session, adapter });
  const { ids } = await generator.complete({ promptIds: tokenizer.encode("ka lo"), maxNewTokens: 5 });
  await session.release();
  await checkpoint.close();
  return { loss, ids };
}

test("an engine of one's own trains and writes as graft's does", async () => {
  const { engineOf } = await ofPage<{ engineOf: (ort: unknown) => Engine }>();
  const own = await trainAndWrite(engineOf(await import("onnxruntime-node")));
  const ours = await trainAndWrite(createEngine({ threads: 1 }));
  assert.ok(Math.abs(own.loss - ours.loss) < 1e-5, `${own.loss} and ${ours.loss}`);
  assert.deepEqual(own.ids, ours.ids);
});

test("a page's generator writes what its files hold", async () => {
  type Open = (engine: Engine, files: Record<string, core.FileContents>) => Promise<core.Generator>;
  const { openGenerator } = await ofPage<{ openGenerator: Open }>();
  const files = readdirSync(model).map((name) => [name, readFileSync(join(model, name))] as const);
  const generator = await openGenerator(createEngine({ threads: 1 }), Object.fromEntries(files));
  const { ids } = await generator.complete({ promptIds: [97, 98], maxNewTokens: 3 });
  assert.equal(ids.length, 3);
  await generator.session.release();
});
