/** @file The objective and the store that docs/library.md and docs/training.md show do what these say of them. */
import assert from "node:assert/strict";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import type { Adapter, Objective, RunStore } from "../../src/index.ts";
import { createEngine, fineTune, loadModel, Random, Session } from "../../src/index.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { attachTo } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { requestFor } from "../train/fine-tune-request.ts";
import { codeBlocks } from "./code-blocks.ts";

const folder = temporaryFolder();
const ROOT = join(import.meta.dirname, "../..");
symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));

/** What a block of a page defines under a name, without the training that it does then. */
async function shownIn(page: string, name: string): Promise<unknown> {
  const blocks = codeBlocks(readFileSync(join(ROOT, "docs", page), "utf8"));
  const shown =
    blocks.find(({ code }) => code.includes(name))?.code.replace(/\nconst settings[^]*/, "") ?? "";
  const library = JSON.stringify(pathToFileURL(join(ROOT, "src/index.ts")).href);
  const code = shown.replaceAll('"graft"', library).replaceAll(/^export /gm, "");
  const file = join(folder, `${name}.ts`);
  writeFileSync(file, `${code}\nexport { ${name} };\n`);
  const defined = (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
  return defined[name];
}

const focal = (await shownIn("library.md", "focal")) as Objective<{ gamma: number }>;
const memoryStore = (await shownIn("training.md", "memoryStore")) as (
  adapter: Adapter,
  kept: Map<number, unknown>,
) => RunStore;

const { base, checkpoint } = await loadModel(await writeTinyModel(join(folder, "model")));
after(() => checkpoint.close());

/** Trains to the third step, or until one after which it is stopped; returns what is trained. */
async function trainOn(kept: Map<number, unknown>, stopAfter: number | null): Promise<Float32Array[]> {
  const session = new Session(createEngine({ threads: 1 }), base);
  const adapter = await attachTo(base, lora, { rank: 2 });
  const stop = new AbortController();
  const request = requestFor(session, adapter);
  const run = fineTune({
    ...request,
    objective: { objective: focal, options: focal.options.parse({}) },
    store: memoryStore(adapter, kept),
    hooks: { ...request.hooks, signal: stop.signal },
  });
  try {
    for await (const event of run) {
      if (event.event === "step" && event.step === stopAfter) stop.abort();
      // Its loss is not that of tokens.
      if (event.event === "eval") assert.equal(event.perplexity, undefined);
    }
  } catch (error) {
    assert.equal((error as { code?: string }).code, "train/stopped");
  }
  await session.release();
  return adapter.groups.map(({ values }) => values.slice());
}

test("the store goes on from its newest checkpoint, with the same bits", async () => {
  const whole = await trainOn(new Map(), null);
  const kept = new Map<number, unknown>();
  await trainOn(kept, 2);
  assert.deepEqual([...kept.keys()], [2]);
  assert.deepEqual(await trainOn(kept, null), whole);
});

test("the objective's gradient equals central differences", () => {
  const random = new Random(1);
  const logProbs = Float32Array.from({ length: 6 }, () => -0.1 - 3 * random.uniform());
  const weights = Float32Array.from([1, 0.5, 2, 1, 0, 1]);
  const totals = { weight: 5.5 } as Parameters<Objective["evaluate"]>[1];
  const at = (values: Float32Array) =>
    focal.evaluate({ logProbs: values, weights } as Parameters<Objective["evaluate"]>[0], totals, {
      gamma: 2,
    });
  const step = 2 ** -8;
  for (const [i, exact] of at(logProbs).gradient.entries()) {
    const [above, below] = [step, -step].map((by) => at(logProbs.map((x, j) => (i === j ? x + by : x))).loss);
    assert.ok(Math.abs(exact - (above! - below!) / (2 * step)) < 1e-5, String(i));
  }
});
