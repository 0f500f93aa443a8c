/** @file A server of adapters of all methods: what each writes beside the others, by HTTP, is what it writes alone. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { openTextModel } from "../../src/engine/open-text-model.ts";
import { METHODS, WHOLE_MODEL } from "../../src/peft/methods.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";
import { writeTinyAdapter } from "../tiny/adapter.ts";

const root = temporaryFolder();
const server = await serveTiny(root);
after(() => server.close());
const modelPath = join(root, "model");
const METHOD_NAMES = METHODS.filter((method) => method !== WHOLE_MODEL).map(({ name }) => name);
const LETTERS = [97, 107, 108];
/** All methods, and rows of single tokens beside one. */
const ADAPTERS: Readonly<Record<string, readonly [method: string, options: object]>> = {
  ...Object.fromEntries(METHOD_NAMES.map((name) => [name, [name, {}] as const])),
  rows: ["lora", { trainableTokenIndices: { embed_tokens: LETTERS, lm_head: LETTERS.slice(1) } }],
};
const PROMPTS = ["ka lo", "mi ta so ne"];
const NUM_TOKENS = 12;

/** Texts after the prompts by a model with this adapter and no other; null: with none. */
async function alone(adapterPath: string | null): Promise<string[]> {
  const model = await openTextModel(modelPath, { threads: 1, ...(adapterPath !== null && { adapterPath }) });
  try {
    const texts: string[] = [];
    for (const prompt of PROMPTS) {
      const request = { maxNewTokens: NUM_TOKENS };
      texts.push((await model.write(model.encodePrompt(prompt), request)).text);
    }
    return texts;
  } finally {
    await model.close();
  }
}

async function ask(model: string, prompt: string): Promise<string> {
  const request = { model, prompt, max_tokens: NUM_TOKENS, temperature: 0 };
  const { status, body } = await server.post("/v1/completions", request);
  assert.equal(status, 200, `${model}: ${JSON.stringify(body)}`);
  return (body as { choices: [{ text: string }] }).choices[0].text;
}

test("texts by adapters of all methods at once, and by the base, are those of each alone", async () => {
  const expected = new Map([["tiny", await alone(null)]]);
  for (const [seed, [name, [method, options]]] of Object.entries(ADAPTERS).entries()) {
    const folder = join(root, "adapters", `of-${name}`);
    await writeTinyAdapter(modelPath, folder, method, 10 + seed, { options });
    const { status, body } = await server.post("/v1/load_lora_adapter", {
      lora_name: name,
      lora_path: `of-${name}`,
    });
    assert.equal(status, 200, `${name}: ${JSON.stringify(body)}`);
    expected.set(name, await alone(folder));
  }
  const differing = new Set([...expected.values()].map((texts) => texts.join("\n")));
  assert.equal(differing.size, expected.size, "each adapter says something else");
  const models = [...expected.keys()];
  // Twice: in turn until programs of all methods are there, and then in one pass.
  for (let round = 0; round < 2; round++) {
    const texts = await Promise.all(
      models.map((model) => Promise.all(PROMPTS.map((prompt) => ask(model, prompt)))),
    );
    for (const [i, model] of models.entries()) assert.deepEqual(texts[i], expected.get(model), model);
  }
  assert.deepEqual(server.errors, []);
});
