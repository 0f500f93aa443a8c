import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryFolder, tinyModelParts, writeTinyModel } from "../../../test/tiny/model.ts";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { examplesFor, logitsOf } from "../../../test/passes/model-passes.ts";
import { toBatch } from "../../data/batches/batch.ts";
import { writeModel } from "../../format/by-path.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { openModel } from "../families.ts";

test("files that call the parts of norms gamma and beta, as those of the first BERT models do, are read", async () => {
  const folder = temporaryFolder();
  const modelType = "bert";
  const { base } = await openUntilEnd(await writeTinyModel(`${folder}/new`, { modelType }));
  const { config, tensors } = tinyModelParts({ modelType });
  const named = [...tensors].map(
    ([name, tensor]) =>
      [
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
        tensor,
      ] as const,
  );
  assert.ok(named.some(([name]) => name.endsWith("LayerNorm.beta")));
  await writeModel(`${folder}/first`, {
    config,
    generationConfig: null,
    tokenizerFiles: byteTokenizerFiles(),
    tensors: new Map(named),
  });
  const { base: first } = await openUntilEnd(`${folder}/first`);
  for (const name of base.model.tensors.keys())
    assert.deepEqual(await first.values(name), await base.values(name));
});

test("a pooler in files of RoBERTa, which its head of classes has no use for, is passed over", async () => {
  const folder = temporaryFolder();
  const { config, tensors } = tinyModelParts({ modelType: "roberta" });
  const pooler = hostTensor("float32", [32, 32], new Float32Array(32 * 32));
  for (const name of ["roberta.pooler.dense.weight", "pooler.dense.weight"]) {
    const path = `${folder}/${name}`;
    await writeModel(path, {
      config,
      generationConfig: null,
      tokenizerFiles: byteTokenizerFiles(),
      tensors: new Map([...tensors, [name, pooler]]),
    });
    const { base } = await openUntilEnd(path);
    assert.ok(!base.model.tensors.has("roberta.pooler.dense.weight"));
  }
});

test("the texts of a pair have types of their own in BERT, and in RoBERTa that of the first, as its tokenizers say", async () => {
  const engine = createEngine({ threads: 1 });
  const logitsWith = async (modelType: string, type: number): Promise<Float32Array> => {
    const { base } = await openUntilEnd(
      await writeTinyModel(`${temporaryFolder()}/${modelType}`, { modelType }),
    );
    const batch = toBatch([examplesFor(base.model, [6])]);
    const tokenTypes = batch.segments.map((_, at) => (at < 3 ? 0 : type));
    return await logitsOf(engine, base, null, { ...batch, tokenTypes });
  };
  assert.notDeepEqual(await logitsWith("bert", 1), await logitsWith("bert", 0));
  assert.deepEqual(await logitsWith("roberta", 1), await logitsWith("roberta", 0));
});

test("ids of tokens choose rows of the words, also where there are as many positions and types", () => {
  const { config } = tinyModelParts({ modelType: "bert" });
  const size = Number(config["vocab_size"]);
  const model = openModel({ ...config, max_position_embeddings: size, type_vocab_size: size });
  assert.equal(model.embedding?.name, "bert.embeddings.word_embeddings");
  assert.deepEqual(
    model.stem.sites.map(({ inFeatures }) => inFeatures),
    [size, size, size],
  );
});
