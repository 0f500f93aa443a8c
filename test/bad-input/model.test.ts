/** @file Models that cannot be used: files missing or cut, tensors that do not fit, settings that are not implemented. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { writeModel } from "../../src/format/by-path.ts";
import type { TensorSource } from "../../src/format/files/safetensors/safetensors-writer.ts";
import { numElements } from "../../src/graph/shape.ts";
import { writeSafetensors } from "../files/write-safetensors.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { buildTinyGguf } from "../tiny/gguf.ts";
import { temporaryFolder, tinyModelParts, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import type { TrainEvent } from "../../src/train/events.ts";
import { runTiny } from "../train/tiny-run.ts";
import { assertRefused } from "./refusals.ts";
import { readJson } from "../files/read-json.ts";

const folder = temporaryFolder();
const data = writeTinyChats(`${folder}/chats.jsonl`, 4);
const output = `${folder}/out`;

/** Writes the tiny model with other tensors. */
async function modelWith(
  name: string,
  change: (parts: ReturnType<typeof tinyModelParts>) => void,
): Promise<string> {
  const parts = tinyModelParts();
  change(parts);
  const path = `${folder}/${name}`;
  const whole = await writeTinyModel(`${folder}/${name}-whole`);
  await writeModel(path, { ...parts, generationConfig: null, tokenizerFiles: null });
  for (const file of ["tokenizer.json", "tokenizer_config.json"])
    copyFileSync(`${whole}/${file}`, `${path}/${file}`);
  return path;
}

/** Writes the tiny model with other settings, its tensors as they were. */
async function modelWithConfig(name: string, config: object): Promise<string> {
  const path = await writeTinyModel(`${folder}/${name}`);
  const old = readJson(`${path}/config.json`);
  writeFileSync(`${path}/config.json`, JSON.stringify({ ...old, ...config }));
  return path;
}

describe("a model that cannot be used", () => {
  test("a path with nothing there", async () => {
    await assertRefused(
      { model: `${folder}/nowhere`, data, output },
      { code: "format/file", says: ["nowhere", /no such file|nothing/i], hint: /path|name/i },
    );
  });

  test("matrices of whole numbers that config.json does not explain", async () => {
    const model = await writeTinyModel(`${folder}/plain-int8`);
    const name = "model.layers.0.mlp.gate_proj.weight";
    const tensors = new Map<string, TensorSource>(tinyModelParts().tensors);
    const { shape } = tensors.get(name)!;
    tensors.set(name, hostTensor("int8", shape, new Int8Array(numElements(shape))));
    await writeSafetensors(`${model}/model.safetensors`, tensors);
    await assertRefused(
      { model, data, output },
      {
        code: "format/tensor",
        says: [`"${name}"`, ": I8, expected F32, F16 or BF16"],
        hint: /quantization_config in config\.json/,
      },
    );
  });

  test("a folder without weights", async () => {
    const model = await writeTinyModel(`${folder}/no-weights`);
    rmSync(`${model}/model.safetensors`);
    await assertRefused(
      { model, data, output },
      {
        code: "format/file",
        says: ["no-weights", "no weights", "expected model.safetensors"],
        hint: /complete/,
      },
    );
  });

  test("a folder without a configuration", async () => {
    const model = await writeTinyModel(`${folder}/no-config`);
    rmSync(`${model}/config.json`);
    await assertRefused(
      { model, data, output },
      {
        code: "format/file",
        says: ["no-config", "expected a folder with config.json"],
        hint: /config\.json is missing/,
      },
    );
  });

  test("weights that another tool has quantized", async () => {
    const model = await modelWithConfig("aqlm", { quantization_config: { quant_method: "aqlm", bits: 2 } });
    await assertRefused(
      { model, data, output },
      {
        code: "usage/quantization",
        says: ["aqlm", 'quantized by "aqlm"', "expected floats or codes of packed, gptq, awq, bitsandbytes"],
        hint: /GGUF/,
      },
    );
  });

  test("several files of weights without their index", async () => {
    const model = await writeTinyModel(`${folder}/no-index`);
    for (const i of [1, 2])
      copyFileSync(`${model}/model.safetensors`, `${model}/model-0000${i}-of-00002.safetensors`);
    rmSync(`${model}/model.safetensors`);
    await assertRefused(
      { model, data, output },
      {
        code: "format/file",
        says: ["no-index", "2 weight files", "model.safetensors.index.json"],
        hint: /index/,
      },
    );
  });

  for (const [what, text, hint] of [
    [
      "a Git LFS pointer",
      "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
      /lfs pull/,
    ],
    ["a web page", "<!DOCTYPE html><html>Access to this model is restricted</html>", /account/],
  ] as const) {
    test(`${what} in the place of weights`, async () => {
      const model = await writeTinyModel(`${folder}/stand-in`);
      writeFileSync(`${model}/model.safetensors`, text);
      await assertRefused(
        { model, data, output },
        { code: "format/file", says: ["model.safetensors", what, "expected the file itself"], hint },
      );
    });
  }

  test("a tied head of another shape than the embedding", async () => {
    const model = await modelWith("tied", ({ tensors }) => {
      tensors.set("lm_head.weight", hostTensor("float32", [3, 32], new Float32Array(96)));
    });
    await assertRefused(
      { model, data, output },
      {
        code: "format/tensor",
        says: ["lm_head.weight is [3, 32], expected [259, 32]"],
        hint: /config\.json/,
      },
    );
  });

  test("a tied head with one value that the embedding does not have", async () => {
    const withHead = async (name: string, changed: number): Promise<string> =>
      await modelWith(name, ({ config, tensors }) => {
        config["tie_word_embeddings"] = true;
        const { shape, data: values } = tensors.get("model.embed_tokens.weight")!;
        const own = Float32Array.from(values);
        own[own.length - 1]! += changed;
        tensors.set("lm_head.weight", hostTensor("float32", shape, own));
      });
    await assertRefused(
      { model: await withHead("tied-other", 1), data, output },
      {
        code: "format/tensor",
        says: [/lm_head\.weight and model\.embed_tokens\.weight differ/, "tie_word_embeddings"],
        hint: /false/,
      },
    );
    await runTiny({
      model: await withHead("tied-equal", 0),
      data,
      output: `${folder}/tied-equal-out`,
      steps: 1,
    });
  });

  for (const file of ["config.json", "generation_config.json", "tokenizer_config.json"]) {
    test(`${file} with a key that comes twice`, async () => {
      const model = await writeTinyModel(`${folder}/twice-${file}`);
      writeFileSync(`${model}/${file}`, '{"model_type": "llama", "eos_token_id": 1, "model_type": "gpt2"}');
      await assertRefused(
        { model, data, output },
        { code: "format/json", says: [file, 'key "model_type" occurs twice'], hint: /Delete/ },
      );
    });
  }

  test("a tensor under both of its names", async () => {
    const parts = tinyModelParts({ modelType: "gpt2" });
    const name = "transformer.h.0.ln_1.weight";
    const { shape, data: values } = parts.tensors.get(name)!;
    parts.tensors.set(
      "h.0.ln_1.weight",
      hostTensor(
        "float32",
        shape,
        values.map((value) => 2 * value),
      ),
    );
    const model = `${folder}/twice`;
    await writeModel(model, { ...parts, generationConfig: null, tokenizerFiles: byteTokenizerFiles() });
    await assertRefused(
      { model, data, output },
      {
        code: "format/tensor",
        says: [name, '"h.0.ln_1.weight"', "the same tensor"],
        hint: /each tensor once/,
      },
    );
  });

  test("weights that end too early", async () => {
    const model = await writeTinyModel(`${folder}/cut`);
    truncateSync(`${model}/model.safetensors`, readFileSync(`${model}/model.safetensors`).length - 100);
    await assertRefused(
      { model, data, output },
      {
        code: "format/file",
        says: [/cut\/model\.safetensors/, /expected/],
        hint: /download|complete|again/i,
      },
    );
  });

  test("a GGUF file that ends too early", async () => {
    const model = `${folder}/cut.gguf`;
    writeFileSync(model, buildTinyGguf().subarray(0, -40));
    await assertRefused(
      { model, data, output },
      { code: "format/file", says: ["cut.gguf", /expected/], hint: /download|complete|again/i },
    );
  });

  test("a configuration that is no JSON", async () => {
    const model = await writeTinyModel(`${folder}/no-json`);
    writeFileSync(`${model}/config.json`, '{"model_type": "llama",');
    await assertRefused({ model, data, output }, { code: "format/json", says: ["config.json"], hint: /./ });
  });

  test("a tensor that is missing, one that is surplus, one of a wrong shape: all are named at once", async () => {
    const norm = "model.layers.0.input_layernorm.weight";
    const model = await modelWith("tensors", ({ tensors }) => {
      tensors.delete(norm);
      tensors.set("model.layers.7.mlp.gate_proj.weight", hostTensor("float32", [2], new Float32Array(2)));
      tensors.set("model.norm.weight", hostTensor("float32", [31], new Float32Array(31)));
    });
    await assertRefused(
      { model, data, output },
      {
        code: "format/tensor",
        says: [
          `missing ${norm}`,
          "surplus model.layers.7.mlp.gate_proj.weight",
          "model.norm.weight is [31], expected [32]",
        ],
        hint: /config\.json/,
      },
    );
  });

  for (const [what, config, says] of [
    ["an activation", { hidden_act: "gelu" }, ['hidden_act is "gelu"']],
    ["a rope scaling", { rope_scaling: { rope_type: "ntk", factor: 2 } }, ['rope scaling "ntk"', "llama3"]],
    ["a rope scaling without its factor", { rope_scaling: { type: "linear" } }, ["has no factor"]],
    [
      "a size",
      { num_hidden_layers: 0, hidden_size: "big" },
      ["num_hidden_layers is 0", 'hidden_size is "big"'],
    ],
    ["a family", { model_type: "mamba" }, ['model type "mamba"', '"llama"']],
    ["heads that do not divide", { num_key_value_heads: 3 }, ["num_key_value_heads"]],
    ["an odd width of a head", { head_dim: 7 }, ["head_dim"]],
  ] as const) {
    test(`a configuration with ${what} that is not implemented`, async () => {
      const model = await modelWithConfig(what.replaceAll(" ", "-"), config);
      await assertRefused({ model, data, output }, { code: "usage/model", says, hint: /./ });
    });
  }

  test("a model without a tokenizer", async () => {
    const model = await writeTinyModel(`${folder}/mute`);
    rmSync(`${model}/tokenizer.json`);
    await assertRefused(
      { model, data, output },
      { code: "usage/model", says: ["mute", "no tokenizer.json"], hint: /tokenizer/ },
    );
  });

  test("a model without a chat template on conversations", async () => {
    const model = await writeTinyModel(`${folder}/no-template`);
    const path = `${model}/tokenizer_config.json`;
    const config = readJson(path);
    writeFileSync(path, JSON.stringify({ ...config, chat_template: null }));
    await assertRefused(
      { model, data, output },
      { code: "usage/chat-template", says: ["chat template"], hint: /./ },
    );
  });

  test("more tokens than the model has positions", async () => {
    const model = await writeTinyModel(`${folder}/short`);
    await assertRefused(
      { model, data, output, maxLength: 4096 },
      { code: "usage/flag", says: ["4096 tokens", "512 positions"], hint: /at most 512/ },
    );
  });

  test("a plan that does not fit the memory, said before weights are read", async () => {
    // With a tensor of a wrong shape: reading the weights would fail for another reason.
    const model = await modelWith("large", ({ tensors }) => {
      tensors.set("model.norm.weight", hostTensor("float32", [31], new Float32Array(31)));
    });
    await assertRefused(
      { model, data, output, memory: "50MB" },
      {
        code: "capacity/memory",
        says: [/needs about [\d,]+ MB and [\d,]+ MB as a reserve, expected at most --memory 50MB$/],
        hint: /^Give --memory \d+MB( with --.*)?, or choose a smaller max length or a smaller model\.$/,
      },
    );
  });

  test("an adapter that takes much of the memory: fewer modules are named as a remedy", async () => {
    const model = await writeTinyModel(`${folder}/wide`);
    await assertRefused(
      { model, data, output, memory: "50MB", method: "lora", rank: 16_384 },
      {
        code: "capacity/memory",
        says: [/expected at most --memory 50MB$/],
        hint: /or choose fewer target modules, a smaller max length or a smaller model\.$/,
      },
    );
  });

  test("a data folder and model folder that were taken for each other", async () => {
    mkdirSync(`${folder}/data`);
    copyFileSync(data, `${folder}/data/train.jsonl`);
    await assertRefused(
      { model: `${folder}/data`, data: `${folder}/data`, output },
      {
        code: "format/file",
        says: ["it is a data folder, expected a folder with config.json"],
        hint: /--data/,
      },
    );
  });

  test("weights that are no numbers: a note names the tensor before the run ends", async () => {
    const name = "model.layers.0.self_attn.v_proj.weight";
    const model = await modelWith("nan", ({ tensors }) => void tensors.get(name)!.data.fill(NaN, 0, 2));
    const notes: string[] = [];
    const onEvent = (event: TrainEvent): void => void (event.event === "note" && notes.push(event.message));
    const run = runTiny({ model, data, output: `${folder}/nan-run` }, { onEvent });
    await assert.rejects(run, { code: "train/nan" });
    assert.equal(notes.length, 1);
    assert.match(
      notes[0]!,
      /Tensor "model\.layers\.0\.self_attn\.v_proj\.weight" of .* contains 2 values that are NaN/,
    );
  });
});
