/** @file tokenizer.json and tokenizer_config.json: read, then a text encoded, decoded and rendered. */
import { createChatTemplate } from "../../../src/data/chat/chat-template.ts";
import { createTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import { tinyCharacterMap } from "../../tiny/character-map.ts";
import type { TokenizerFiles } from "../../../src/format/checkpoint/checkpoint.ts";
import { parseJsonObject } from "../../../src/format/files/json-file.ts";
import { byteTokenizerFiles } from "../../tiny/byte-tokenizer.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateJson, pick } from "../mutate.ts";

/** Kinds of models and steps beside the byte tokenizer's. */
function corpus(): TokenizerFiles[] {
  const bytes = byteTokenizerFiles();
  const words = { "[UNK]": 0, a: 1, b: 2, "##b": 3, hello: 4, "▁a": 5 };
  const steps = {
    added_tokens: [{ id: 6, content: "<s>", special: true, normalized: false }],
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [6], tokens: ["<s>"] } },
    },
  };
  const split = {
    type: "Split",
    pattern: { Regex: "\\p{L}+|\\s+(?!\\S)|\\s+" },
    behavior: "Isolated",
    invert: false,
  };
  return [
    bytes,
    {
      ...bytes,
      tokenizer: {
        ...steps,
        normalizer: { type: "BertNormalizer", lowercase: true },
        pre_tokenizer: { type: "BertPreTokenizer" },
        decoder: { type: "WordPiece", prefix: "##" },
        model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", vocab: words },
      },
    },
    {
      ...bytes,
      tokenizer: {
        ...steps,
        normalizer: {
          type: "Sequence",
          normalizers: [
            { type: "Replace", pattern: { String: " " }, content: "▁" },
            { type: "NFC" },
            { type: "Precompiled", precompiled_charsmap: tinyCharacterMap("b", "a") },
          ],
        },
        pre_tokenizer: {
          type: "Sequence",
          pretokenizers: [split, { type: "Metaspace", replacement: "▁", prepend_scheme: "always" }],
        },
        decoder: {
          type: "Sequence",
          decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "Fuse" }],
        },
        model: {
          type: "Unigram",
          unk_id: 0,
          vocab: [
            ["<unk>", 0],
            ["▁a", -1],
            ["b", -2.5],
          ],
        },
      },
    },
  ];
}

export const tokenizerFile: FuzzFormat = {
  name: "tokenizer-file",
  numCases: 500,
  prepare() {
    const files = corpus();
    const [bytes] = files as [TokenizerFiles];
    return {
      make(random) {
        if (random.integer(3) === 0)
          return JSON.stringify({
            tokenizer: bytes.tokenizer,
            config: JSON.parse(mutateSafely(random, bytes.config)) as unknown,
          });
        return mutateJson(
          random,
          JSON.stringify({ tokenizer: pick(random, files).tokenizer, config: bytes.config }),
        );
      },
      read(input) {
        const parsed = parseJsonObject(input as string, "tokenizer.json");
        const isObject = (value: unknown): value is Record<string, unknown> =>
          typeof value === "object" && value !== null && !Array.isArray(value);
        const { tokenizer, config } = parsed;
        if (!isObject(tokenizer) || !isObject(config)) return;
        const opened = { tokenizer, config, chatTemplate: null };
        const made = createTokenizer(opened);
        made.decode(made.encode("Hello a b, 你好!"), { skipSpecialTokens: true });
        createChatTemplate({ ...opened, chatTemplate: bytes.chatTemplate }).render([
          { role: "user", content: "hi" },
        ]);
        createChatTemplate(opened);
      },
    };
  },
};

/** JSON that still parses. */
function mutateSafely(random: Parameters<typeof mutateJson>[0], value: unknown): string {
  const text = mutateJson(random, JSON.stringify(value));
  try {
    JSON.parse(text);
    return text;
  } catch {
    return "{}";
  }
}
