/** The page of examples/browser and docs/browser.md, but for its DOM, with onnxruntime-node in the place of onnxruntime-web. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import type * as core from "../../src/core.ts";
import { createEngine, type Engine, readAdapter } from "../../src/index.ts";
import { codeBlocks } from "../docs/code-blocks.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";

const folder = temporaryFolder();
// As wide a head as models have whose keys and values attention extends in place.
const model = await writeTinyModel(join(folder, "model"), { config: { head_dim: 16 } });
writeTinyChats(join(folder, "chats.jsonl"), 4);

// A bundler has this alias too.
const source = new URL("../../src/core.ts", import.meta.url).href;
registerHooks({
  resolve: (name, context, next) => next(name === "graft/core" ? source : name, context),
});
const example = new URL("../../examples/browser/", import.meta.url);
const blocks = codeBlocks(readFileSync(new URL("../../docs/browser.md", import.meta.url), "utf8"));

/** What the example's class gives. */
interface TrainedModel {
  train(request: { text: string; name: string; steps: number }): AsyncIterable<{ loss: number }>;
  write(prompt: string, maxNewTokens: number): AsyncIterable<{ id: number }>;
  files(): Promise<File[]>;
}

const { engineOf } = (await import(new URL("engine.ts", example).href)) as {
  engineOf: (ort: unknown) => Engine;
};
const { TrainedModel } = (await import(new URL("trained-model.ts", example).href)) as {
  TrainedModel: { open(engine: Engine, files: readonly File[]): Promise<TrainedModel> };
};

/** A step of LoRA, five ids that the result writes, and its files. */
async function trainAndWrite(engine: Engine): Promise<{ loss: number; ids: number[]; files: File[] }> {
  const files = readdirSync(model).map((name) => new File([readFileSync(join(model, name))], name));
  const trained = await TrainedModel.open(engine, files);
  const text = readFileSync(join(folder, "chats.jsonl"), "utf8");
  let loss = Number.NaN;
  for await (const event of trained.train({ text, name: "chats.jsonl", steps: 1 })) ({ loss } = event);
  const ids: number[] = [];
  for await (const { id } of trained.write("ka lo", 5)) ids.push(id);
  return { loss, ids, files: await trained.files() };
}

test("an engine of one's own trains and writes as graft's does, and what it trained is read by peft's names", async () => {
  const own = await trainAndWrite(engineOf(await import("onnxruntime-node")));
  const ours = await trainAndWrite(createEngine({ threads: 1 }));
  assert.ok(Math.abs(own.loss - ours.loss) < 1e-5, `${own.loss} and ${ours.loss}`);
  assert.equal(own.ids.length, 5);
  assert.deepEqual(own.ids, ours.ids);
  const path = temporaryFolder();
  for (const file of own.files) writeFileSync(join(path, file.name), await file.bytes());
  const { base } = await openUntilEnd(model);
  const { adapter } = await readAdapter(path, base);
  assert.equal(adapter.method.name, "lora");
});

test("docs/browser.md shows the engine of the example", () => {
  assert.equal(
    readFileSync(new URL("engine.ts", example), "utf8").split("\n").slice(1).join("\n"),
    blocks[0]!.code,
  );
});

test("a page's generator writes what its files hold", async () => {
  const path = join(folder, "page.ts");
  writeFileSync(path, blocks[1]!.code);
  type Open = (engine: Engine, files: Record<string, core.FileContents>) => Promise<core.Generator>;
  const { openGenerator } = (await import(pathToFileURL(path).href)) as { openGenerator: Open };
  const files = readdirSync(model).map((name) => [name, readFileSync(join(model, name))] as const);
  const generator = await openGenerator(createEngine({ threads: 1 }), Object.fromEntries(files));
  const { ids } = await generator.complete({ promptIds: [97, 98], maxNewTokens: 3 });
  assert.equal(ids.length, 3);
  await generator.session.release();
});
