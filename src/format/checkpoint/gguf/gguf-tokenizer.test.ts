import assert from "node:assert/strict";
import test from "node:test";
import { Tokenizer } from "@huggingface/tokenizers";
import { UsageError } from "../../../errors.ts";
import { findGgufFamily } from "../../../models/families.ts";
import type { GgufMetadata } from "../../files/gguf/gguf.ts";
import { findCollector } from "../../../runtime/memory/find-collector.ts";
import { makeTokenizerFiles } from "./gguf-tokenizer.ts";
import { tokenizerSettings } from "./gguf-vocabulary.ts";

/** Bytes that byte-level vocabularies show as they are; others move up, as in GPT-2. */
function letterOf(byte: number, moved: { count: number }): string {
  const isShown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  return String.fromCodePoint(isShown ? byte : 256 + moved.count++);
}

const moved = { count: 0 };
const BYTES = Array.from({ length: 256 }, (_, byte) => letterOf(byte, moved));
const MERGES = ["Ġ Ġ", "1 2", "12 3", "' S", "h i", "Ġ hi", "e Ì"];
const TOKENS = [
  "<|begin|>",
  "<|end|>",
  "<user>",
  ...BYTES,
  ...MERGES.map((pair) => pair.replace(" ", "")),
  "whole",
];

function fileWith(entries: Record<string, unknown>): GgufMetadata {
  return {
    path: "m.gguf",
    metadata: {
      "general.architecture": "llama",
      "llama.context_length": 128,
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "gpt-2",
      "tokenizer.ggml.tokens": TOKENS,
      "tokenizer.ggml.merges": MERGES,
      "tokenizer.ggml.token_type": TOKENS.map((_, id) => (id < 2 ? 3 : id === 2 ? 4 : 1)),
      "tokenizer.ggml.bos_token_id": 0,
      "tokenizer.ggml.eos_token_id": 1,
      ...entries,
    },
  };
}

function tokenizerWith(entries: Record<string, unknown>): Tokenizer {
  const files = makeTokenizerFiles(fileWith(entries));
  assert.ok(files);
  return new Tokenizer(files.tokenizer, files.config);
}

const piecesOf = (entries: Record<string, unknown>, text: string): string[] =>
  tokenizerWith(entries)
    .encode(text)
    .ids.map((id: number) => TOKENS[id]!);

test("each pre-tokenizer cuts numbers, spaces and apostrophes in its own way", () => {
  const text = "1234  1'S";
  for (const [pre, pieces] of [
    ["gpt-2", ["123", "4", "Ġ", "Ġ", "1", "'", "S"]],
    ["smollm", ["1", "2", "3", "4", "ĠĠ", "1", "'", "S"]],
    ["qwen2", ["1", "2", "3", "4", "Ġ", "Ġ", "1", "'S"]],
    ["llama-bpe", ["<|begin|>", "123", "4", "Ġ", "Ġ", "1", "'S"]],
    ["glm4", ["123", "4", "Ġ", "Ġ", "1", "'S"]],
    ["gpt-4o", ["123", "4", "Ġ", "Ġ", "1", "'S"]],
    ["deepseek-coder", ["1", "2", "3", "4", "ĠĠ", "1", "'", "S"]],
    ["deepseek-llm", ["1", "2", "3", "4", "ĠĠ", "1", "'", "S"]],
    ["hunyuan-dense", ["123", "4", "ĠĠ", "1", "'S"]],
    ["refact", ["1", "2", "3", "4", "ĠĠ", "1", "'", "S"]],
  ] as const) {
    assert.deepEqual(piecesOf({ "tokenizer.ggml.pre": pre }, text), pieces, pre);
  }
});

test("DeepSeek's first models take one space with a word", () => {
  for (const pre of ["deepseek-coder", "deepseek-llm"])
    assert.deepEqual(piecesOf({ "tokenizer.ggml.pre": pre }, "  hi"), ["Ġ", "Ġhi"], pre);
});

test("qwen2 composes letters and accents, the others leave them", () => {
  const decomposed = "e\u0301";
  assert.deepEqual(piecesOf({ "tokenizer.ggml.pre": "qwen2" }, decomposed), ["Ã", "©"]);
  assert.deepEqual(piecesOf({}, decomposed), ["e", "Ì", "ģ"]);
});

test("llama-bpe and glm4 take a whole word of the vocabulary without merges; the others do not", () => {
  assert.deepEqual(piecesOf({ "tokenizer.ggml.pre": "llama-bpe" }, "whole"), ["<|begin|>", "whole"]);
  assert.deepEqual(piecesOf({ "tokenizer.ggml.pre": "glm4" }, "whole"), ["whole"]);
  assert.deepEqual(piecesOf({}, "whole"), ["w", "h", "o", "l", "e"]);
});

test("control and user tokens are found in text, and decoding gives the text back", () => {
  const tokenizer = tokenizerWith({});
  const text = "hi<|end|> hi<user>é 你好 🙂";
  const { ids } = tokenizer.encode(text);
  assert.deepEqual(
    ids.slice(0, 4).map((id: number) => TOKENS[id]),
    ["hi", "<|end|>", "Ġhi", "<user>"],
  );
  assert.equal(tokenizer.decode(ids), text);
  assert.equal(tokenizer.decode(ids, { skip_special_tokens: true }), text.replace("<|end|>", ""));
});

test("bos is put first when the file says so, or when its family does", () => {
  assert.deepEqual(piecesOf({ "tokenizer.ggml.add_bos_token": true }, "hi"), ["<|begin|>", "hi"]);
  const llama = { "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.add_bos_token": false };
  assert.deepEqual(piecesOf(llama, "hi"), ["hi"]);
});

test("the configuration names the special tokens and the template", () => {
  const files = makeTokenizerFiles(
    fileWith({ "tokenizer.chat_template": "{{ x }}", "tokenizer.ggml.padding_token_id": 1 }),
  );
  assert.deepEqual(files?.config, {
    add_bos_token: false,
    add_eos_token: false,
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    model_max_length: 128,
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: "<|begin|>",
    eos_token: "<|end|>",
    pad_token: "<|end|>",
  });
  assert.equal(files.chatTemplate, "{{ x }}");
});

test("a template for tools is read and written", () => {
  const keys = { "tokenizer.chat_template": "{{ x }}", "tokenizer.chat_template.tool_use": "{{ tools }}" };
  const files = makeTokenizerFiles(fileWith(keys));
  assert.deepEqual(files?.config["chat_template"], [
    { name: "default", template: "{{ x }}" },
    { name: "tool_use", template: "{{ tools }}" },
  ]);
  const settings = tokenizerSettings("tiny", files, { vocabSize: TOKENS.length, generationConfig: null });
  for (const [key, value] of Object.entries(keys)) assert.equal(settings[key]?.value, value);
  assert.deepEqual(settings["tokenizer.chat_templates"]?.value, ["tool_use"]);
});

test("a family says which tokens of SentencePiece take the spaces behind them; byte pairs take none", () => {
  const tokens = ["<unk>", "<s>", "<|user|>", "<|x|>", "a"];
  const pieces = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": [2, 3, 3, 4, 1],
    "tokenizer.ggml.scores": tokens.map(() => 0),
  };
  const takersOf = (entries: Record<string, unknown>, architecture: string): unknown[] => {
    const { takesSpacesAfter } = findGgufFamily("m.gguf", architecture, {}).gguf;
    const files = makeTokenizerFiles(fileWith(entries), takesSpacesAfter);
    const added = files?.tokenizer["added_tokens"] as { content: string; rstrip: boolean }[];
    return added.filter(({ rstrip }) => rstrip).map(({ content }) => content);
  };
  assert.deepEqual(takersOf(pieces, "phi3"), ["<|user|>", "<|x|>"]);
  assert.deepEqual(takersOf(pieces, "llama"), []);
  assert.deepEqual(takersOf({}, "phi3"), []);
});

test("a file without a tokenizer gives null; unknown kinds and broken lists are errors", () => {
  assert.equal(makeTokenizerFiles(fileWith({ "tokenizer.ggml.model": undefined })), null);
  for (const [entries, message] of [
    [{ "tokenizer.ggml.model": "bert" }, /tokenizer type "bert", expected one of "gpt2", "llama"/],
    [{ "tokenizer.ggml.pre": "deepseek" }, /pre-tokenizer "deepseek", expected one of gpt-2/],
  ] as const) {
    assert.throws(
      () => makeTokenizerFiles(fileWith(entries)),
      (error: unknown) =>
        error instanceof UsageError && error.code === "usage/model" && message.test(error.message),
    );
  }
  assert.throws(() => makeTokenizerFiles(fileWith({ "tokenizer.ggml.merges": [1] })), {
    code: "format/file",
    message: /tokenizer\.ggml\.merges is not a list of strings/,
  });
});

test("the vocabulary of a file stays while somebody holds it, and is made again later", async () => {
  const { model } = makeTokenizerFiles(fileWith({}))!.tokenizer as {
    model: { vocab: Record<string, number> };
  };
  const collectAll = findCollector()!;
  const collect = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    collectAll();
  };
  const whileHeld = async (): Promise<WeakRef<object>> => {
    const { vocab } = model;
    await collect();
    assert.equal(model.vocab, vocab);
    return new WeakRef(vocab);
  };
  const held = await whileHeld();
  await collect();
  assert.equal(held.deref(), undefined);
  assert.ok(TOKENS.every((token, id) => model.vocab[token] === id));
});
