/** @file Numbers in files that ask for what the file cannot be: a quick error each, before anything is allocated. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { readConfigFile } from "../../src/cli/flags/config-file.ts";
import { readIdxFile } from "../../src/data/files/image-files.ts";
import { createChatTemplate } from "../../src/data/chat/chat-template.ts";
import { renderTurns } from "../../src/data/chat/turn-spans.ts";
import type { Message } from "../../src/data/rows/messages.ts";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import type { GraftError } from "../../src/errors.ts";
import { adapterFiles } from "../../src/format/adapters/adapter.ts";
import { readAdapter } from "../../src/format/adapters/read-adapter.ts";
import { loadWeights } from "../../src/format/checkpoint/load-model.ts";
import { openCheckpoint } from "../../src/format/checkpoint/open-checkpoint.ts";
import { memoryFolder } from "../../src/format/files/memory-folder.ts";
import { openModel } from "../../src/models/families.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { folderInMemory, tinyModelFiles } from "../files/memory-files.ts";
import { attachTo } from "../passes/model-passes.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { buildTinyGguf } from "../tiny/gguf.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { processorMs } from "../../src/train/power/processor-ms.ts";

const folder = temporaryFolder();
/** No case may need longer; all but those that decompress take milliseconds. */
const QUICK_MS = 3000;

async function assertQuick(work: () => unknown, code: GraftError["code"], message: RegExp): Promise<void> {
  const started = processorMs();
  await assert.rejects(async () => work(), { code, message });
  assert.ok(processorMs() - started < QUICK_MS, `took ${processorMs() - started} ms`);
}

describe("a number that a file cannot mean is refused at once:", () => {
  for (const numLayers of [4, 3e6, 2 ** 53 - 1]) {
    test(`${numLayers} layers in config.json`, async () => {
      const files = await tinyModelFiles();
      const config = JSON.stringify({ ...TINY_CONFIGS["llama"], num_hidden_layers: numLayers });
      const open = async (): Promise<unknown> => {
        const checkpoint = await openCheckpoint(memoryFolder("m", { ...files, "config.json": config }));
        return await loadWeights("m", checkpoint);
      };
      await (numLayers === 4
        ? assertQuick(open, "format/tensor", /missing model\.layers\.2/)
        : assertQuick(
            open,
            "usage/model",
            /num_hidden_layers is \d+ \(expected at most \d+, the number of tensors/,
          ));
    });
  }

  test("layers, experts and widths of a configuration alone", async () => {
    const cases: [string, object, RegExp][] = [
      ["gpt2", { n_layer: 1e9 }, /n_layer is/],
      ["distilbert", { n_layers: 1e9 }, /n_layers is/],
      ["gpt_neo", { num_layers: 1e9 }, /num_layers is/],
      ["deberta-v2", { max_relative_positions: 1e9 }, /1000000000 distances have rows/],
      ["deberta-v2", { position_buckets: 1e9 }, /1000000000 distances have rows/],
      ["vit", { num_hidden_layers: 2 ** 53 - 1 }, /num_hidden_layers is/],
      ["olmoe", { num_experts: 1e9 }, /num_experts is/],
      ["qwen3_moe", { num_experts: 1e6 }, /num_experts is/],
      ["mixtral", { num_local_experts: 1e6 }, /num_local_experts is/],
      ["olmoe", { num_experts: 65_536 }, /num_experts is/],
      ["gemma3", { text_config: { num_hidden_layers: 1e6 } }, /num_hidden_layers is/],
      ["llama", { head_dim: 2e9 }, /head_dim is/],
      ["llama", { hidden_size: 2e12 }, /hidden_size is/],
    ];
    for (const [type, change, message] of cases) {
      await assertQuick(() => openModel({ ...TINY_CONFIGS[type], ...change }), "usage/model", message);
    }
  });

  test("one flipped bit in block_count of a GGUF file", async () => {
    const bytes = buildTinyGguf();
    const at = bytes.indexOf("llama.block_count") + "llama.block_count".length + 4;
    bytes[at + 2]! ^= 0x20;
    const open = (): unknown => openCheckpoint(memoryFolder("m", { "x.gguf": bytes }));
    await assertQuick(open, "usage/model", /num_hidden_layers is 2097153 \(expected at most/);
  });

  test("counts of GGUF lists and texts that the file has no room for", async () => {
    const key = "tokenizer.ggml.tokens";
    for (const [back, byte] of [
      [8, 3],
      [8, 5],
    ] as const) {
      const bytes = buildTinyGguf();
      // Behind the key: type of value, type of elements, count.
      const at = bytes.indexOf(key) + key.length + back;
      bytes[at + byte]! ^= 0x40;
      const open = (): unknown => openCheckpoint(memoryFolder("m", { "x.gguf": bytes }));
      await assertQuick(open, "format/file", /expected at least \d+ for the header/);
    }
  });

  for (const [method, config] of [
    ["lora", { r: 1_000_000 }],
    ["lora", { r: 10_000_000 }],
    ["lora", { rank_pattern: { q_proj: 1_000_000 } }],
    ["vera", { r: 10_000_000 }],
  ] as const) {
    test(`${JSON.stringify(config)} of ${method} in adapter_config.json`, async () => {
      const checkpoint = await openCheckpoint(memoryFolder("m", await tinyModelFiles()));
      const base = await loadWeights("m", checkpoint);
      const adapter = await attachTo(base, findMethod(method), { rank: 2 });
      const files = await folderInMemory(adapterFiles(adapter, { base, checkpoint, chatTemplateHash: null }));
      const old = JSON.parse(files["adapter_config.json"] as string) as object;
      const edited = { ...files, "adapter_config.json": JSON.stringify({ ...old, ...config }) };
      await readAdapter(memoryFolder("a", files), base);
      await assertQuick(
        () => readAdapter(memoryFolder("a", edited), base),
        "usage/adapter",
        /its settings require \d+ bytes, but its file contains \d+/,
      );
    });
  }

  for (const place of ["vocab", "added", "decoder"] as const) {
    test(`a token id of 1e9 in ${place}`, async () => {
      const files = structuredClone(byteTokenizerFiles()) as unknown as {
        tokenizer: { model: { vocab: Record<string, number> }; added_tokens: { id: number }[] };
        config: Record<string, unknown>;
        chatTemplate: null;
      };
      if (place === "vocab") files.tokenizer.model.vocab["a"] = 1e9;
      if (place === "added") files.tokenizer.added_tokens[0]!.id = 1e9;
      if (place === "decoder") files.config["added_tokens_decoder"] = { 1e9: { content: "<x>" } };
      await assertQuick(() => createTokenizer(files), "format/file", /has id 1000000000, expected .* below/);
    });
  }

  test("turns of a conversation that are each found by rendering all before them", async () => {
    const files = byteTokenizerFiles();
    const template = createChatTemplate(files, {
      template: "{% for m in messages %}{{ m.role + ':' + m.content + '\n' }}{% endfor %}",
    });
    const messages = Array.from({ length: 2600 }, (_, i): Message => {
      return i % 2 === 0 ? { role: "user", content: "a" } : { role: "assistant", content: "b" };
    });
    const rendering = { template, messages, tools: null, specialTokens: [] };
    const find = (wanted: (index: number) => boolean) => renderTurns(rendering, wanted);
    await assertQuick(
      () => find(() => true),
      "usage/chat-template",
      /Cannot find 1300 messages in a rendered conversation.*expected at most 1024/,
    );
    assert.equal(find((index) => index === 2599).spans.length, 1300);
  });

  test("a compressed file of images that is nothing but zeros", async () => {
    const path = `${folder}/train-images-idx3-ubyte.gz`;
    writeFileSync(path, gzipSync(Buffer.alloc(2e8), { level: 9 }));
    await assertQuick(() => readIdxFile(path, 3), "format/file", /would expand to more than/);
  });

  for (const [name, text] of Object.entries({
    brackets: "[".repeat(100_000),
    braces: `a: ${"{a: ".repeat(1000)}`,
    dashes: "- ".repeat(50_000),
    indents: Array.from({ length: 600 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
  })) {
    test(`levels without end in a settings file: ${name}`, async () => {
      const path = `${folder}/${name}.yaml`;
      writeFileSync(path, text);
      await assertQuick(() => readConfigFile(path, []), "format/file", /more than 64 nested levels/);
    });
  }
});
