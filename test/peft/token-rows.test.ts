/** @file Single rows of the embedding and of the head that are trained beside an adapter: gradients, how they share a pass, and what is refused. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toBatch } from "../../src/data/batches/batch.ts";
import { combineAdapters } from "../../src/export/combined/combine.ts";
import { type LoadedModel, readAdapter, readAdapterFolder } from "../../src/format/by-path.ts";
import { FAMILIES } from "../../src/models/families.ts";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { previewAttach } from "../../src/peft/preview.ts";
import { findMethod } from "../../src/peft/methods.ts";
import type { Parameter } from "../../src/peft/parameters.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";
import {
  attachTo,
  examplesFor,
  logitsOf,
  lossAndGradients,
  openPasses,
  perturb,
  randomExamples,
  unpacked,
  withTensors,
} from "../passes/model-passes.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { largestDifference } from "../reference/differences.ts";
import { assertSlopes } from "../reference/slopes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();
const lora = findMethod("lora");
const ROWS = /trainable_tokens_delta$/;

async function open(modelType: string, config: Record<string, unknown> = {}): Promise<LoadedModel> {
  const name = `${folder}/${modelType}-${Object.keys(config).length}`;
  return await openUntilEnd(await writeTinyModel(name, { modelType, config }));
}

const rowsOf = ({ parameters }: Adapter): readonly Parameter[] =>
  parameters.filter(({ name }) => ROWS.test(name));

/** Ids of the embedding, or of modules. */
type Ids = readonly number[] | Readonly<Record<string, readonly number[]>>;

/** An adapter that trains the rows of tokens which examples have. */
async function make(base: BaseModel, ids: Ids, name = "lora"): Promise<Adapter> {
  return await attachTo(base, findMethod(name), { rank: 2, trainableTokenIndices: ids });
}

const UNTIED = await open("llama", { tie_word_embeddings: false });
const TIED = await open("llama");
const BIASED = await open("phi");

const texts = FAMILIES.filter(({ modelType }) => modelType !== "vit");
for (const { modelType } of texts) {
  test(`${modelType}: rows start as the base's, and the loss changes along their gradient`, async () => {
    const { base } = await open(modelType);
    const examples = examplesFor(base.model, [9, 6]);
    const batch = unpacked(examples);
    const [first] = examples as unknown as [{ ids: readonly number[] }];
    const ids = [...new Set([first.ids[3]!, 200, first.ids[6]!])];
    const adapter = await make(base, ids);
    const [rows] = rowsOf(adapter) as [Parameter];
    assert.equal(rows.layer, null);
    const start = await logitsOf(engine, base, adapter, batch);
    assert.ok(largestDifference(start, await logitsOf(engine, base, null, batch)) < 1e-5);
    perturb(adapter, 0.05);
    const passes = await openPasses(engine, base, adapter);
    const { gradients } = await passes.lossAndGradients([batch]);
    await assertSlopes([rows], gradients, () => passes.loss(batch), 0.02);
    await passes.release();
  });
}

const EXAMPLES = randomExamples([8, 5, 11]);
const IDS = [EXAMPLES[0]!.ids[5]!, 7, EXAMPLES[2]!.ids[6]!];
const OF_HEAD = [EXAMPLES[1]!.ids[3]!, IDS[0]!];
const CASES: Readonly<Record<string, readonly [LoadedModel, Ids]>> = {
  "an embedding that is tied": [TIED, IDS],
  "an embedding that is not tied": [UNTIED, IDS],
  "an embedding and a head of its own": [UNTIED, { embed_tokens: IDS, lm_head: OF_HEAD }],
  "an embedding and a head with biases": [BIASED, { embed_tokens: IDS, lm_head: OF_HEAD }],
  "an embedding and others of a head that is tied to it": [TIED, { lm_head: OF_HEAD, embed_tokens: IDS }],
};

for (const [name, [loaded, ids]] of Object.entries(CASES)) {
  const { base } = loaded;
  const modules = Array.isArray(ids) ? ["embed_tokens"] : Object.keys(ids);
  describe(`rows of ${name}`, () => {
    const examples = EXAMPLES;
    const batch = unpacked(examples);

    test("have the gradients of central differences, number by number", async () => {
      const adapter = await make(base, ids);
      perturb(adapter, 0.05);
      const passes = await openPasses(engine, base, adapter);
      const { gradients } = await passes.lossAndGradients([batch]);
      assert.equal(rowsOf(adapter).length, modules.length);
      for (const rows of rowsOf(adapter)) {
        const gradient = gradients.get(rows.name)!;
        const { data } = rows.value;
        const step = 0.02;
        const slopes = new Float32Array(data.length);
        for (const [i, before] of data.slice().entries()) {
          const lossAt = async (value: number): Promise<number> => {
            data[i] = value;
            return await passes.loss(batch);
          };
          slopes[i] = ((await lossAt(before + step)) - (await lossAt(before - step))) / (2 * step);
          data[i] = before;
        }
        const size = Math.max(...gradient.map(Math.abs));
        const apart = largestDifference(gradient, slopes);
        assert.ok(apart < 0.01 * size, `${rows.name}: ${apart}`);
        // A head learns of every label; a row that nobody reads has nothing to learn of an embedding alone.
        const unread = gradient.subarray(rows.shape[1], 2 * rows.shape[1]!);
        assert.equal(
          unread.some((value) => value !== 0),
          name === "an embedding that is tied" || rows.name.startsWith("lm_head."),
        );
      }
      await passes.release();
    });

    test("have the same gradients in packed rows, in micro-batches, recomputed, and read by number", async () => {
      const adapter = await make(base, ids);
      perturb(adapter, 0.05);
      const { gradients: expected } = await lossAndGradients(engine, base, adapter, [batch]);
      const [a, b, c] = examples as [(typeof examples)[0], (typeof examples)[0], (typeof examples)[0]];
      const others = {
        packed: lossAndGradients(engine, base, adapter, [toBatch([[a, b, c]])]),
        "in micro-batches": lossAndGradients(engine, base, adapter, [unpacked([a]), unpacked([b, c])]),
        recomputed: lossAndGradients(engine, base, adapter, [batch], { recompute: true }),
        "of large tables": lossAndGradients(engine, base, adapter, [batch], { maxTableBytes: 0 }),
      };
      for (const [how, found] of Object.entries(others)) {
        const { gradients } = await found;
        assert.equal(gradients.size, expected.size);
        for (const [parameter, gradient] of gradients) {
          const apart = largestDifference(gradient, expected.get(parameter)!);
          assert.ok(apart < 2e-6, `${parameter} ${how}: ${apart} apart`);
        }
      }
    });

    for (const method of ["lora", "dora"]) {
      test(`${method}: come back from a file under peft's names, and merge`, async () => {
        const adapter = await make(base, ids, method);
        perturb(adapter, 0.05);
        const path = `${folder}/${method}-${name.replaceAll(" ", "-")}`;
        await saveAdapter(path, adapter, loaded);
        const { config, tensors } = await readAdapterFolder(path);
        assert.deepEqual(config["trainable_token_indices"], ids);
        const keys = modules.map((module) => {
          const outer = module === "lm_head" ? "" : "model.";
          return `base_model.model.${outer}${module}.token_adapter.trainable_tokens_delta`;
        });
        assert.deepEqual([...tensors.keys()].filter((key) => ROWS.test(key)).sort(), keys.sort());
        const { adapter: read } = await readAdapter(path, base);
        assert.deepEqual(valuesOf(read), valuesOf(adapter));
        const merged = await mergeAdapter(engine, base, adapter);
        assert.equal(merged.has("lm_head.weight"), modules.includes("lm_head"), "a tied head stays tied");
        const whole = await logitsOf(engine, await withTensors(base, merged), null, batch);
        assert.ok(largestDifference(whole, await logitsOf(engine, base, adapter, batch)) < 2e-5);
        const refused = combineAdapters({ expression: "2*a", adapters: { a: path } });
        await assert.rejects(refused, { code: "usage/combine" });
      });
    }
  });
}

test("rows are counted with what is trained", () => {
  const targets = { modules: ["q_proj"], layers: null };
  const count = (trainableTokenIndices: Ids): number => {
    const request = { method: lora, options: { rank: 2, trainableTokenIndices }, targets };
    return previewAttach(TIED.base.model, TIED.base.source, request).numTrained;
  };
  assert.equal(count([1, 2, 3]) - count([]), 3 * 32);
  // With the same rows, a tied head has those of the embedding.
  assert.equal(count({ embed_tokens: [1, 2, 3], lm_head: [1, 2, 3] }) - count([]), 3 * 32);
  assert.equal(count({ embed_tokens: [1, 2, 3], lm_head: [1, 2] }) - count({}), 5 * 32);
});

test("what the model does not have, has twice or trains otherwise too is refused", async () => {
  const { base: images } = await open("vit");
  for (const [base, options, modules, says] of [
    [
      TIED.base,
      { trainableTokenIndices: [258, 259] },
      ["q_proj"],
      /no token 259, expected ids from 0 to 258/,
    ],
    [TIED.base, { trainableTokenIndices: ["<tool>"] }, ["q_proj"], /no token "<tool>"/],
    [TIED.base, { trainableTokenIndices: [4, 5, 4] }, ["q_proj"], /token 4 is given twice/],
    [TIED.base, { trainableTokenIndices: [4] }, ["embed_tokens"], /"model.embed_tokens" has an adapter/],
    [TIED.base, { trainableTokenIndices: [4] }, ["lm_head"], /"lm_head" has an adapter/],
    [
      TIED.base,
      { trainableTokenIndices: [4], modulesToSave: ["embed_tokens"] },
      ["q_proj"],
      /"model.embed_tokens" is trained whole/,
    ],
    [TIED.base, { trainableTokenIndices: [4], modulesToSave: ["lm_head"] }, ["q_proj"], /trained whole/],
    [TIED.base, { trainableTokenIndices: { lm_head: [4] } }, ["lm_head"], /"lm_head" has an adapter/],
    [TIED.base, { trainableTokenIndices: { q_proj: [4] } }, ["v_proj"], /"q_proj" is not a token embedding/],
    [
      TIED.base,
      { trainableTokenIndices: { embed_tokens: [4], "model.embed_tokens": [5] } },
      ["q_proj"],
      /"model.embed_tokens" is given twice/,
    ],
    [images, { trainableTokenIndices: [4] }, ["query"], /no token embedding/],
  ] as const) {
    const code = "usage/target-modules";
    await assert.rejects(attachTo(base, lora, options, modules), { code, message: says });
  }
  // A head of its own may have an adapter, or be trained whole.
  await attachTo(UNTIED.base, lora, { trainableTokenIndices: [4] }, ["lm_head"]);
  await attachTo(UNTIED.base, lora, { trainableTokenIndices: [4], modulesToSave: ["lm_head"] }, ["q_proj"]);
});
