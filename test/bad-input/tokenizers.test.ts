/** @file A GGUF file beside tokenizer files that say something else: its own are used, and the user is told. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { openTextParts } from "../../src/engine/open-text-model.ts";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { compareTokenizerFiles } from "../../src/data/tokenizer/tokenizer-notes.ts";
import { openCheckpoint } from "../../src/format/by-path.ts";
import { parseTrainOptions } from "../../src/train/settings/options.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { TINY_METADATA, TINY_TENSORS, buildTinyGguf } from "../tiny/gguf.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { assertSays } from "./refusals.ts";
import { setUpRun } from "../train/set-up-run.ts";
import { TINY_RUN } from "../train/tiny-run.ts";

const folder = temporaryFolder();
const GGUF = buildTinyGguf(
  {},
  TINY_TENSORS.filter(({ name }) => !name.endsWith(".bias")),
);
writeFileSync(`${folder}/tiny.gguf`, GGUF);
const opened = await openCheckpoint(`${folder}/tiny.gguf`);
const { tokenizerFiles, unusedTokenizerFiles, config } = opened;
assert.equal(unusedTokenizerFiles, null);
await opened.close();
const OWN = tokenizerFiles!;
const data = `${folder}/texts.txt`;
writeFileSync(data, "ab a b ".repeat(20));

/** The same tokenizer with two of its tokens exchanged. */
const EXCHANGED = {
  ...OWN.tokenizer,
  model: { ...(OWN.tokenizer["model"] as object), vocab: exchange("a", "b") },
};

function exchange(one: string, other: string): Record<string, number> {
  const { vocab } = OWN.tokenizer["model"] as { vocab: Record<string, number> };
  return { ...vocab, [one]: vocab[other]!, [other]: vocab[one]! };
}

/** The GGUF file in a folder of its own, with these files beside it. */
function folderWith(name: string, files: Readonly<Record<string, unknown>>): string {
  const path = `${folder}/${name}`;
  mkdirSync(path);
  writeFileSync(`${path}/model.gguf`, GGUF);
  for (const [file, content] of Object.entries(files))
    writeFileSync(`${path}/${file}`, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const TOKENIZER =
  /^The tokenizer of ".*model\.gguf" and tokenizer\.json .*disagree: .*the one in the GGUF file is used$/;
const TEMPLATE = /^The chat template of ".*model\.gguf" and .*disagree: .*the one in the GGUF file is used$/;

describe("a damaged tokenizer.json", () => {
  const files = byteTokenizerFiles();
  const model = files.tokenizer["model"] as Record<string, unknown>;
  for (const [what, tokenizer, says] of [
    ["no model", { model: undefined }, "model is absent, expected an object with a vocabulary"],
    ["another kind", { model: { ...model, type: "Dance" } }, 'model.type is "Dance", expected one of BPE'],
    ["no tokens", { model: { ...model, vocab: {} } }, "model.vocab is empty, expected tokens with their ids"],
    ["a list of tokens", { model: { ...model, vocab: ["a"] } }, "model.vocab is a list, expected tokens"],
    ["a merge of one", { model: { ...model, merges: ["a b", 5] } }, "model.merges is 5, expected pairs"],
    [
      "no text",
      { added_tokens: [{ id: 256, content: 5 }] },
      'added_tokens is {"id":256,"content":5}, expected',
    ],
    [
      "two texts of one id",
      { added_tokens: ["<a>", "<b>"].map((content) => ({ id: 256, content, special: true })) },
      'added_tokens has "<a>" and "<b>" with id 256, expected one token per id',
    ],
    [
      "an id that a token of the vocabulary has",
      { added_tokens: [{ id: 97, content: "<a>", special: true }] },
      'added_tokens has "<a>" with id 97 and model.vocab "a" with id 97, expected one token per id',
    ],
    [
      "a token of the vocabulary with another id",
      { added_tokens: [{ id: 300, content: "a", special: false }] },
      'added_tokens has "a" with id 300 and model.vocab "a" with id 97, expected one token per id',
    ],
    ["null", { added_tokens: null }, "added_tokens is null, expected objects"],
    ["a sequence of nothing", { decoder: { type: "Sequence" } }, "a Sequence has no list of steps"],
    [
      "a step that is none",
      { decoder: { type: "Sequence", decoders: [null] } },
      "a step is null, expected an object",
    ],
    [
      "a letter that is not in the vocabulary",
      { model: { type: "WordPiece", vocab: { b: 0 } }, added_tokens: [] },
      "it has no id for a part of a text, and no unknown token",
    ],
    [
      "a special token that is not in the vocabulary",
      { post_processor: { type: "BertProcessing", sep: ["</x>", 1], cls: ["<x>", 2] } },
      'it has no id for "<x>", and no unknown token',
    ],
  ] as const) {
    test(`${what} is said`, () => {
      assert.throws(
        () => createTokenizer({ ...files, tokenizer: { ...files.tokenizer, ...tokenizer } }),
        (error) => {
          assertSays(error, { code: "format/file", says: ["tokenizer.json", says], hint: /unchanged/ });
          return true;
        },
      );
    });
  }

  test("a token that ends texts and is none is told", () => {
    const noteOf = (eos: unknown): string[] =>
      compareTokenizerFiles({
        path: "here",
        tokenizerFiles: { ...files, config: { ...files.config, eos_token: eos } },
        unusedTokenizerFiles: null,
      });
    for (const eos of [null, "<|im_end|>", { content: "<|im_end|>" }, "!"]) assert.deepEqual(noteOf(eos), []);
    assert.match(
      noteOf("</s>").join(),
      /no token "<\/s>", which tokenizer_config\.json names as its eos_token/,
    );
  });
});

describe("a GGUF file beside tokenizer files", () => {
  for (const [what, files, expected] of [
    ["none", {}, []],
    [
      "the same ones",
      {
        "tokenizer.json": OWN.tokenizer,
        "tokenizer_config.json": OWN.config,
        "chat_template.jinja": `${OWN.chatTemplate}\n`,
      },
      [],
    ],
    ["another tokenizer", { "tokenizer.json": EXCHANGED, "tokenizer_config.json": OWN.config }, [TOKENIZER]],
    [
      "one with another beginning",
      { "tokenizer.json": { ...OWN.tokenizer, post_processor: null }, "tokenizer_config.json": {} },
      [TOKENIZER],
    ],
    ["one that cannot be read", { "tokenizer.json": { model: { type: "Dance" } } }, [TOKENIZER]],
    ["another template", { "chat_template.jinja": "{{ bos_token }}" }, [TEMPLATE]],
    [
      "both, with a config.json",
      {
        "config.json": config,
        "tokenizer.json": EXCHANGED,
        "tokenizer_config.json": { ...OWN.config, chat_template: "{{ eos_token }}" },
      },
      [TOKENIZER, TEMPLATE],
    ],
  ] as const) {
    test(what, async () => {
      const path = folderWith(what.replaceAll(/[^a-z]+/g, "-"), files);
      for (const model of [path, `${path}/model.gguf`]) {
        const parts = await openTextParts(model);
        assert.equal(parts.notes.length, expected.length, parts.notes.join("\n"));
        expected.forEach((note, i) => assert.match(parts.notes[i] ?? "", note));
        assert.deepEqual(parts.tokenizer.encode("ab", { addSpecialTokens: true }), [0, 5]);
        assert.equal(parts.tokenizer.tokenToId("a"), 2);
        await parts.checkpoint.close();

        const setup = await setUpRun(
          parseTrainOptions({ ...TINY_RUN, model, data, output: `${folder}/out` }),
        );
        assert.deepEqual(setup.notes, parts.notes);
        await setup.origin.checkpoint.close();
      }
    });
  }
});

test("a GGUF file without a tokenizer takes the one beside it", async () => {
  const path = folderWith("mute", { "tokenizer.json": EXCHANGED, "tokenizer_config.json": OWN.config });
  const entries = Object.keys(TINY_METADATA).filter((key) => key.startsWith("tokenizer."));
  writeFileSync(`${path}/model.gguf`, buildTinyGguf(Object.fromEntries(entries.map((key) => [key, null]))));
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  assert.deepEqual(checkpoint.tokenizerFiles?.tokenizer, EXCHANGED);
  assert.equal(checkpoint.unusedTokenizerFiles, null);
});
