/** @file Runs that train single rows of the embedding: texts of tokens, what else a run may be, and going on with one. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { readAdapter, readAdapterFolder } from "../../src/format/by-path.ts";
import { trainAveraged } from "../../src/train/files/averaged-training.ts";
import type { TrainInput } from "../../src/train/settings/train-input.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { inTurn } from "../matrix/sampled.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { writeTinyRows } from "../tiny/rows.ts";
import { bytesOf, lossesOf, runTiny } from "./tiny-run.ts";
import { readJson } from "../files/read-json.ts";

const RESULT = "adapter_model.safetensors";
const KEY = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta";
const folder = temporaryFolder();
const chats = writeTinyChats(`${folder}/chats.jsonl`, 9);
const pairs = writeTinyRows(`${folder}/pairs.jsonl`, "preference", 9);
const config = { hidden_size: 64, intermediate_size: 128 };
const models = {
  tied: await writeTinyModel(`${folder}/tied`, { config }),
  "not tied": await writeTinyModel(`${folder}/untied`, { config: { ...config, tie_word_embeddings: false } }),
};
/** Of the byte tokenizer: a byte, a special token, and an id. */
const TOKENS = ["k", "<|im_start|>", 200];
const IDS = [107, 256, 200];
const SETTINGS = {
  data: chats,
  chatTemplate: "chatml",
  rank: 2,
  learningRate: 0.01,
  weightDecay: 0.01,
  seed: 5,
  steps: 3,
};

/** The rows of a result, and those that the base has there. */
async function rowsOf(model: string, output: string): Promise<readonly [Float32Array, Float32Array]> {
  const { config: written, tensors } = await readAdapterFolder(output);
  assert.deepEqual(written["trainable_token_indices"], IDS);
  const { base } = await openUntilEnd(model);
  const { data, shape } = await base.values("model.embed_tokens.weight");
  const width = shape[1]!;
  const start = IDS.flatMap((id) => [...data.subarray(id * width, (id + 1) * width)]);
  return [tensors.get(KEY)!.data, Float32Array.from(start)];
}

const MANNERS: Readonly<Record<string, Partial<TrainInput>>> = {
  "float32, recomputed": { gradientCheckpointing: "on" },
  "branches left out": { dropbp: 0.5 },
  "products of 8 bits": { compute: "int8" },
  "a base of few bits": { base: "nf4" },
  "a budget of memory": { residentMemory: "2MB" },
  "several lanes": { dataParallel: 2, gradientAccumulationSteps: 2 },
  preferences: { data: pairs, objective: "dpo" },
};

for (const [turn, [manner, settings]] of Object.entries(MANNERS).entries()) {
  for (const [name, model] of inTurn(Object.entries(models), turn)) {
    test(`${name}, ${manner}: a run starts as without rows, and moves them`, async () => {
      const output = `${folder}/${name}-${manner}`;
      const own = { ...SETTINGS, ...settings, model };
      const { events } = await runTiny({ ...own, trainableTokenIndices: TOKENS, output });
      const { events: without } = await runTiny({ ...own, output: `${output}-without` });
      const [[first = NaN], [expected = NaN]] = [lossesOf(events), lossesOf(without)];
      assert.ok(Math.abs(first - expected) < 2e-3 * expected, `${first} and ${expected}`);
      const [rows, start] = await rowsOf(model, output);
      assert.equal(rows.length, 3 * 64);
      const isMoved = (row: number): boolean =>
        rows
          .subarray(row * 64, (row + 1) * 64)
          .some((value, i) => Math.abs(value - start[row * 64 + i]!) > 1e-3);
      // Rows of preferences are no conversations.
      for (const row of manner === "preferences" ? [0] : [0, 1]) assert.ok(isMoved(row), TOKENS.join());
    });
  }
}

describe("going on", () => {
  const settings = { ...SETTINGS, model: models.tied, trainableTokenIndices: TOKENS };
  const once = runTiny({ ...settings, output: `${folder}/whole` });

  test("a run that was stopped and resumed ends with the same bits", async () => {
    const { events } = await once;
    const controller = new AbortController();
    const onEvent = (event: { event: string }): void => {
      if (event.event === "step") controller.abort();
    };
    const output = `${folder}/parts`;
    await assert.rejects(runTiny({ ...settings, output }, { signal: controller.signal, onEvent }), {
      code: "train/stopped",
    });
    const resumed = await runTiny({ ...settings, output, resume: true });
    assert.deepEqual(lossesOf(resumed.events), lossesOf(events).slice(1));
    assert.ok(bytesOf(output, RESULT).equals(bytesOf(`${folder}/whole`, RESULT)));
  });

  test("an adapter brings its rows along, and no others beside them", async () => {
    await once;
    const initAdapter = `${folder}/whole`;
    const own = { ...SETTINGS, rank: undefined, model: models.tied, initAdapter };
    const output = `${folder}/further`;
    await runTiny({ ...own, trainableTokenIndices: TOKENS, output });
    const { base } = await openUntilEnd(models.tied);
    const { adapter } = await readAdapter(output, base);
    assert.equal(adapter.tensor("model.embed_tokens.token_adapter.trainable_tokens_delta")!.data.length, 192);
    assert.ok(!bytesOf(output, RESULT).equals(bytesOf(initAdapter, RESULT)));
    await assert.rejects(runTiny({ ...own, trainableTokenIndices: [3], output: `${folder}/others` }), {
      code: "usage/adapter",
      message: /trainableTokenIndices is \[107,256,200\] in the adapter, but \[3\] is requested/,
    });
  });

  test("modules with rows are the same in any order", async () => {
    await once;
    const trainableTokenIndices = { lm_head: [3], embed_tokens: [5] };
    const first = { ...SETTINGS, model: models["not tied"], trainableTokenIndices, steps: 1 };
    const initAdapter = `${folder}/by-module`;
    await runTiny({ ...first, output: initAdapter });
    const further = { ...first, rank: undefined, initAdapter, output: `${folder}/by-module-further` };
    const { result } = await runTiny(further);
    assert.equal(result.steps, 1);
  });

  test("rows alone begin as the base, resume with the same bits, and go on", async () => {
    const { model } = settings;
    const alone = { ...settings, method: "trainable-tokens", rank: undefined };
    const { events, result } = await runTiny({ ...alone, output: `${folder}/alone` });
    assert.equal(result.trainable_parameters, 3 * 64);
    const { events: ofBase } = await runTiny({ ...SETTINGS, model, steps: 1, output: `${folder}/of-base` });
    assert.ok(Math.abs(lossesOf(events)[0]! - lossesOf(ofBase)[0]!) < 1e-5, "they start as the base's");
    const config = readJson(`${folder}/alone/adapter_config.json`);
    const own = { peft_type: "TRAINABLE_TOKENS", token_indices: IDS, target_modules: "model.embed_tokens" };
    assert.deepEqual({ ...config, ...own }, config);
    const controller = new AbortController();
    const onEvent = (event: { event: string }): void => {
      if (event.event === "step") controller.abort();
    };
    const output = `${folder}/alone-parts`;
    await assert.rejects(runTiny({ ...alone, output }, { signal: controller.signal, onEvent }), {
      code: "train/stopped",
    });
    const resumed = await runTiny({ ...alone, output, resume: true });
    assert.deepEqual(lossesOf(resumed.events), lossesOf(events).slice(1));
    assert.ok(bytesOf(output, RESULT).equals(bytesOf(`${folder}/alone`, RESULT)));
    const further = { ...alone, initAdapter: output, output: `${folder}/alone-further` };
    for (const trainableTokenIndices of [TOKENS, undefined]) {
      await runTiny({ ...further, trainableTokenIndices, overwrite: true, steps: 1 });
      assert.ok(!bytesOf(further.output, RESULT).equals(bytesOf(output, RESULT)));
    }
    for (const base of ["nf4", undefined]) {
      const trained = { ...alone, base, compute: "int8", gradientCheckpointing: "on" };
      const inBits = await runTiny({ ...trained, output: `${folder}/alone-${base}` } as TrainInput);
      assert.ok(lossesOf(inBits.events).every(Number.isFinite));
    }
  });

  test("one worker of an averaged training ends with the same bits", async () => {
    await once;
    const averaged = { ...settings, batchSize: 2, maxLength: 64, threads: 1, output: `${folder}/averaged` };
    await trainAveraged(averaged, { workers: 1, syncEvery: 2 });
    assert.ok(bytesOf(`${folder}/averaged`, RESULT).equals(bytesOf(`${folder}/whole`, RESULT)));
  });
});

test("a text that is several tokens is refused before weights are read", async () => {
  const model = models.tied;
  const refused = (given: Partial<TrainInput>): Promise<unknown> =>
    runTiny({ ...SETTINGS, model, output: `${folder}/refused`, ...given });
  await assert.rejects(refused({ trainableTokenIndices: ["ka"] }), {
    code: "usage/flag",
    message: /Cannot train the row of "ka": it is 2 tokens \(107, 97\), expected a token/,
  });
  await assert.rejects(refused({ trainableTokenIndices: ["k", 107] }), {
    message: /token 107 is given twice/,
  });
  const alone = { method: "trainable-tokens", rank: undefined };
  for (const [given, code, message] of [
    [{}, "usage/flag", /method "trainable-tokens": nothing is selected for it to train/],
    [{ trainableTokenIndices: [] }, "usage/flag", /nothing is selected for it to train/],
    [{ trainableTokenIndices: [3], rank: 4 }, "usage/flag", /rank/],
    [{ trainableTokenIndices: [3], targetModules: "q_proj" }, "usage/target-modules", /to modules or layers/],
    [
      { trainableTokenIndices: { embed_tokens: [3], lm_head: [4] } },
      "usage/flag",
      /same tokens in each module/,
    ],
    [{ trainableTokenIndices: [900] }, "usage/target-modules", /no token 900/],
  ] as const)
    await assert.rejects(refused({ ...alone, ...given }), { code, message });
  await assert.rejects(refused(alone), { hint: "Its options are --trainable-token-indices." });
  assert.equal(existsSync(`${folder}/refused`), false, "nothing was written");
  await assert.rejects(refused({ trainableTokenIndices: [3], method: "ia3", rank: undefined }), {
    code: "usage/flag",
    message: /trainableTokenIndices/,
  });
});

test("steps without the trained tokens move nothing and go on; a whole epoch of them ends the run", async () => {
  const settings = {
    model: models["not tied"],
    method: "trainable-tokens",
    rank: undefined,
    trainableTokenIndices: ["k"],
    batchSize: 1,
    shuffle: false,
    steps: 6,
  };
  const rows = ["ab", "cd", "ke"].map((text) => ({ text }));
  const { events } = await runTiny({ ...settings, data: rows, output: `${folder}/seldom` });
  const norms = events.flatMap((event) => (event.event === "step" ? [event.grad_norm > 0] : []));
  assert.deepEqual(norms, [false, false, true, false, false, true]);
  const never = { ...settings, data: rows.slice(0, 2), output: `${folder}/never` };
  await assert.rejects(runTiny(never), {
    code: "train/no-movement",
    message: "Cannot train: no parameter moved in step 2, gradient norm 0",
    hint: /trained tokens occur in the data/,
  });
  await assert.rejects(runTiny({ ...never, steps: 1, overwrite: true }), {
    code: "train/no-movement",
    message: /in step 1/,
  });
});
