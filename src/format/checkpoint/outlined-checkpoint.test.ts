import assert from "node:assert/strict";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { TINY_CONFIGS } from "../../../test/tiny/configs.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { openModel } from "../../models/families.ts";
import { openCheckpoint, openOutlined } from "../by-path.ts";
import { withFreshHead } from "./fresh-head.ts";

const root = temporaryFolder();
/** What `String` cannot make a text of. */
const NO_TEXT = { toString: 1, valueOf: 1 };

/** Writes a folder with a configuration alone. */
function writeConfig(name: string, config: object): string {
  const folder = join(root, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  return folder;
}

describe("openOutlined()", () => {
  for (const [modelType, config] of Object.entries(TINY_CONFIGS)) {
    test(`${modelType}: tensors are those of the files`, async () => {
      const whole = await openCheckpoint(await writeTinyModel(join(root, modelType), { modelType }));
      const outline = await openOutlined(writeConfig(`${modelType}-outline`, config));
      const { tensors, checkpoint } = openModel(config);
      const names = [...tensors.keys()];
      assert.ok(names.length > 0);
      for (const name of names) {
        const { name: inFile, stack } = checkpoint.inFolder(name);
        assert.deepEqual(outline.tensors.get(name), { ...whole.tensors.get(stack ? name : inFile), name });
      }
      assert.equal(outline.tensors.size, names.length);
      assert.equal(outline.tokenizerFiles, null);
      const [first = ""] = names;
      await assert.rejects(outline.read(first), { code: "format/file", message: /there are no weights/ });
      await whole.close();
    });
  }

  test("weights are kept as the configuration says, and as no other", async () => {
    const { llama: config, gemma3 } = TINY_CONFIGS;
    const storagesOf = async (name: string, more: object): Promise<string[]> => {
      const { tensors } = await openOutlined(writeConfig(name, more));
      return [...new Set([...tensors.values()].map(({ storage }) => storage))];
    };
    assert.deepEqual(await storagesOf("half", { ...config, torch_dtype: "float16" }), ["f16"]);
    assert.deepEqual(await storagesOf("brain", { ...config, dtype: "bfloat16" }), ["bf16"]);
    const text = { ...(gemma3?.["text_config"] as object), dtype: "bfloat16" };
    assert.deepEqual(await storagesOf("nested", { ...gemma3, text_config: text }), ["bf16"]);
    for (const [name, more, message] of [
      ["eighths", { dtype: "float8_e4m3fn" }, /dtype "float8_e4m3fn", expected float32, float16, bfloat16$/],
      ["codes", { quantization_config: { load_in_4bit: true } }, /quantization_config, expected weights/],
      ["own", { quantization_config: { quant_method: "graft" } }, /quantization_config, expected weights/],
      [
        "endless",
        { quantization_config: { quant_method: "gptq", bits: 4, dynamic: { "-:(?:(a+)\\1)+$": {} } } },
        /quantization_config, expected weights/,
      ],
    ] as const) {
      const folder = writeConfig(name, { ...config, ...more });
      await assert.rejects(openOutlined(folder), { code: "usage/model", message });
    }
  });

  test("weights that are quantized as graft does not read are told before they are fetched", async () => {
    for (const [name, settings, message] of [
      ["aqlm", { quant_method: "aqlm" }, /quantized by "aqlm"/],
      ["fp4", { quant_method: "compressed-tensors", format: "nvfp4-pack-quantized" }, /nvfp4-pack-quantized/],
      ["fp8", { quant_method: "fp8", expert_dtype: "fp4" }, /expert_dtype fp4, expected .* fp8$/],
      ["mlx", { group_size: 32, bits: 4, mode: "mxfp4" }, /mode mxfp4, expected .* mode affine$/],
      ["awq", { quant_method: "awq", bits: 4, version: "gemv" }, /version gemv, zero_point true, expected/],
      ["gptq", { quant_method: "gptq", bits: 5 }, /bits 5 \(not 2, 3, 4, 8\)/],
      ["marlin", { quant_method: "gptq", bits: 4, checkpoint_format: "marlin" }, /"marlin"/],
      [
        "overrides",
        { quant_method: "gptq", bits: 4, dynamic: { "+:.*": { bits: 8 } } },
        /dynamic settings for \+/,
      ],
      ["bnb", { load_in_4bit: true, bnb_4bit_quant_type: "fp4" }, /quantization to "fp4", expected nf4$/],
      ["bits", { quant_method: "gptq", bits: NO_TEXT }, /bits \{"toString":1,"valueOf":1\} \(not/],
      ["kernel", { quant_method: "awq", bits: 4, version: NO_TEXT }, /version \{"toString"/],
      ["size", { bits: 4, group_size: NO_TEXT }, /group_size \{"toString"/],
      ["floats", { quant_method: "fp8", fmt: NO_TEXT }, /fmt \{"toString"/],
    ] as const) {
      const quantized = { ...TINY_CONFIGS["qwen3"], quantization_config: settings };
      const refused = { code: "usage/quantization", message };
      await assert.rejects(openOutlined(writeConfig(name, quantized)), refused);
    }
  });

  test("an encoder without classes holds what lies before a head, and gets one", async () => {
    const { id2label: _none, ...encoder } = TINY_CONFIGS["bert"]!;
    const outline = await openOutlined(
      writeConfig("masked", { ...encoder, architectures: ["BertForMaskedLM"] }),
    );
    assert.ok(outline.tensors.has("bert.encoder.layer.1.output.dense.weight"));
    assert.ok(![...outline.tensors.keys()].some((name) => /classifier|pooler/.test(name)));
    const { tensors, freshTensors } = withFreshHead(outline, ["bad", "good"], null);
    assert.deepEqual(freshTensors, [
      "bert.pooler.dense.weight",
      "bert.pooler.dense.bias",
      "classifier.weight",
      "classifier.bias",
    ]);
    assert.deepEqual(tensors.get("classifier.weight")?.shape, [2, 32]);
    // A projection of the head may stand before a mean, where blocks end.
    const { id2label: _others, ...pooling } = TINY_CONFIGS["eurobert"]!;
    const bare = await openOutlined(
      writeConfig("pooling", { ...pooling, architectures: ["EuroBertForMaskedLM"] }),
    );
    assert.ok(bare.tensors.has("model.norm.weight") && !bare.tensors.has("dense.weight"));
    assert.deepEqual(withFreshHead(bare, ["bad", "good"], null).freshTensors, [
      "dense.weight",
      "dense.bias",
      "classifier.weight",
      "classifier.bias",
    ]);
    const folder = writeConfig("faulty", {
      ...encoder,
      architectures: ["BertModel"],
      hidden_act: "quick_gelu",
    });
    await assert.rejects(openOutlined(folder), {
      code: "usage/model",
      message: /hidden_act is "quick_gelu", expected one of gelu/,
    });
    const other = writeConfig("other", { architectures: ["DbrxForCausalLM"], model_type: "dbrx" });
    await assert.rejects(openOutlined(other), {
      code: "usage/model",
      message: /"dbrx" \(DbrxForCausalLM\)/,
    });
  });

  test("a folder whose weights are missing in part is none", async () => {
    const whole = await writeTinyModel(join(root, "whole"));
    const part = join(root, "part");
    cpSync(join(whole, "config.json"), join(part, "config.json"));
    writeFileSync(join(part, "model.safetensors.index.json"), "{}");
    await assert.rejects(openOutlined(part), { code: "format/file", message: /no weight_map/ });
  });
});
