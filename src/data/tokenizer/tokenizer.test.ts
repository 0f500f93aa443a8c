import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { FormatError } from "../../errors.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { byteTokenizerFiles, createByteTokenizer } from "../../../test/tiny/byte-tokenizer.ts";
import { readTokenizerFiles } from "../../format/checkpoint/tokenizer-folder.ts";
import { memoryFolder } from "../../format/files/memory-folder.ts";
import { findCollector } from "../../runtime/memory/find-collector.ts";
import { withChatTemplate } from "../files/chat-template-file.ts";
import { fewestTokens } from "./fewest-tokens.ts";
import { TimeBudget } from "../../untrusted/time-budget.ts";
import { type Tokenizer, createTokenizer } from "./tokenizer.ts";
import { processorMs } from "../../train/power/processor-ms.ts";

const files = byteTokenizerFiles();

/** The byte tokenizer with two merges, so that tokens of several characters exist. */
function mergingFiles(config: Record<string, unknown> = {}) {
  const model = files.tokenizer["model"] as { vocab: Record<string, number> };
  return {
    ...files,
    tokenizer: {
      ...files.tokenizer,
      model: {
        ...model,
        vocab: { ...model.vocab, he: 259, hello: 260, Ċ: 10, ĊĊ: 261 },
        merges: ["h e", "Ċ Ċ"],
      },
    },
    config: { ...files.config, ...config },
  };
}

/** A tokenizer as Llama 2's, which strips the space that begins a text: an id for each byte, 256 for a space and 257 for "a". */
function byteFallbackFiles(): TokenizerFiles {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).toUpperCase().padStart(2, "0"));
  const tokens = [...bytes.map((hex) => `<0x${hex}>`), "▁", "a"];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const decoders = [
    { type: "Replace", pattern: { String: "▁" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    { type: "Strip", content: " ", start: 1, stop: 0 },
  ];
  const model = { type: "BPE", vocab, merges: [], byte_fallback: true };
  const steps = { normalizer: null, pre_tokenizer: null, decoder: { type: "Sequence", decoders } };
  return { ...files, tokenizer: { ...files.tokenizer, ...steps, model, added_tokens: [] } };
}

describe("tokens that tokenizer_config.json adds", () => {
  const decoder = (tokens: Readonly<Record<number, object>>): Record<string, unknown> => ({
    added_tokens_decoder: tokens,
  });

  test("are tokens although tokenizer.json lacks them, and a word of the vocabulary keeps its id", () => {
    const tokenizer = createTokenizer(
      mergingFiles(
        decoder({
          262: { content: "<|extra|>", special: true },
          263: { content: "<tag>", special: false },
          264: { content: "hello", special: false },
        }),
      ),
    );
    const options = { addSpecialTokens: false };
    assert.deepEqual(tokenizer.encode("a<|extra|><tag>b", options), [97, 262, 263, 98]);
    assert.deepEqual(tokenizer.encode("hello", options), [260]);
    assert.equal(tokenizer.decode([97, 262, 263, 98]), "a<|extra|><tag>b");
    assert.equal(tokenizer.decode([97, 262, 263, 98], { skipSpecialTokens: true }), "a<tag>b");
    assert.equal(tokenizer.specialTokens.get("<|extra|>"), 262);
    assert.deepEqual(tokenizer.wholeTokens.toSorted(), ["<tag>", "hello"]);
  });

  test("end a text where the configuration names them", () => {
    const { eosId, vocabSize } = createTokenizer(
      mergingFiles({ ...decoder({ 262: { content: "<|stop|>", special: true } }), eos_token: "<|stop|>" }),
    );
    assert.deepEqual([eosId, vocabSize], [262, 263]);
  });
});

const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc
    .array(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.constantFrom("<|im_start|>", "<|im_end|>", "<|im_", "\n", " "),
      ),
    )
    .map((parts) => parts.join("").toWellFormed()),
);

describe("createTokenizer() of the byte tokenizer's files", () => {
  const real = createTokenizer(files);
  const fake = createByteTokenizer();

  test("equals createByteTokenizer() in ids, text and properties", () => {
    for (const key of [
      "vocabSize",
      "bosId",
      "eosId",
      "padId",
      "specialTokens",
      "prefixIds",
      "suffixIds",
    ] as const) {
      assert.deepEqual(real[key], fake[key], key);
    }
    fc.assert(
      fc.property(text, (value) => {
        const ids = fake.encode(value);
        assert.deepEqual(real.encode(value), ids);
        assert.equal(real.decode(ids), value);
        assert.equal(fake.decode(ids), value);
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1, max: 260 })), fc.boolean(), (ids, skipSpecialTokens) => {
        assert.equal(real.decode(ids, { skipSpecialTokens }), fake.decode(ids, { skipSpecialTokens }));
      }),
    );
    for (const token of ["a", "Ġ", "<|im_end|>", "none such"]) {
      assert.equal(real.tokenToId(token), fake.tokenToId(token), token);
    }
  });

  test("recognises special tokens in the text and leaves them out of decoded text on demand", () => {
    const ids = real.encode("<|im_start|>hé<|im_end|>");
    assert.deepEqual(ids, [256, 104, 0xc3, 0xa9, 257]);
    assert.equal(real.decode(ids), "<|im_start|>hé<|im_end|>");
    assert.equal(real.decode(ids, { skipSpecialTokens: true }), "hé");
  });

  test("keeps spaces before punctuation whatever clean_up_tokenization_spaces says", () => {
    const cleaning = createTokenizer({
      ...files,
      config: { ...files.config, clean_up_tokenization_spaces: true },
    });
    assert.equal(cleaning.decode(cleaning.encode("a , b . c 's")), "a , b . c 's");
  });

  test("decodes ids beyond the vocabulary, and no ids, to nothing", () => {
    assert.equal(real.decode([104, 5000, 105]), "hi");
    assert.equal(real.decode([]), "");
  });
});

describe("createTokenizer()", () => {
  test("applies merges in their order", () => {
    assert.deepEqual(createTokenizer(mergingFiles()).encode("hehe\n\n\nx"), [259, 259, 261, 10, 120]);
  });

  test("merges what is on both sides of a character that the vocabulary lacks, and has no token for", () => {
    const model = files.tokenizer["model"] as { vocab: Record<string, number> };
    const vocab: Record<string, number> = { ...model.vocab, "!!": 259 };
    delete vocab["ē"]; // U+0013
    const tokenizer = createTokenizer({
      ...files,
      tokenizer: { ...files.tokenizer, model: { ...model, vocab, merges: ["! !"] } },
    });
    assert.deepEqual(tokenizer.encode("!\u0013!"), [259]);
    assert.deepEqual(tokenizer.encode("\u0013\u0013"), []);
    assert.deepEqual(
      tokenizer.encode("!\u0013!".repeat(200)),
      Array.from({ length: 200 }, () => 259),
    );
  });

  test("splits at white space as Unicode defines it: U+0085 is, U+FEFF is not", () => {
    const model = files.tokenizer["model"] as { vocab: Record<string, number> };
    // Two line feeds, and a mark followed by a byte order mark, merge only inside one part of the split text.
    const tokenizer = createTokenizer({
      ...files,
      tokenizer: {
        ...files.tokenizer,
        model: { ...model, vocab: { ...model.vocab, ĊÂ: 259, "!ï": 260 }, merges: ["Ċ Â", "! ï"] },
      },
    });
    assert.deepEqual(tokenizer.encode("\n\u0085"), [259, 0x85]);
    assert.deepEqual(tokenizer.encode("!\uFEFF"), [260, 0xbb, 0xbf]);
  });

  test("parts numbers of every kind as Digits says: ², ½ and ٣ are some", () => {
    const cut = (text: string, individual: boolean): string[] => {
      const files = byteTokenizerFiles();
      const digits = { type: "Digits", individual_digits: individual };
      const vocab = { ...(files.tokenizer["model"] as { vocab: Record<string, number> }).vocab };
      const model = {
        type: "WordLevel",
        vocab: { ...vocab, "?": 300, a: 301, "²½": 302, "٣": 303, "²": 304, "½": 305 },
        unk_token: "?",
      };
      const tokenizer = createTokenizer({
        ...files,
        tokenizer: { ...files.tokenizer, pre_tokenizer: digits, decoder: null, model },
      });
      return tokenizer.encode(text, { addSpecialTokens: false }).map((id) => tokenizer.decode([id]));
    };
    assert.deepEqual(cut("a²½a٣", false), ["a", "²½", "a", "٣"]);
    assert.deepEqual(cut("²½a", true), ["²", "½", "a"]);
  });

  test("writes a byte order mark that is made of bytes, and the spaces behind it", () => {
    const tokenizer = createTokenizer(byteFallbackFiles());
    const ids = [0xef, 0xbb, 0xbf, 256, 257];
    assert.equal(tokenizer.decode(ids), "\uFEFF a");
    const stream = tokenizer.stream();
    assert.equal(ids.map((id) => stream.push(id)).join("") + stream.end(), "\uFEFF a");
  });

  test("refuses a text in which a token for whole words is a part of one, alone between other tokens", () => {
    const added = ["word", "[x"].map((content, i) => ({ id: 300 + i, content, single_word: i === 0 }));
    const whole = { ...files, tokenizer: { ...files.tokenizer, added_tokens: added } };
    const tokenizer = createTokenizer(whole);
    assert.deepEqual(tokenizer.encode("[x word[x").slice(0, 1), [301]);
    assert.throws(() => tokenizer.encode("[xword"), /"word" is a separate token as text/);
  });

  test("tells the bytes of a token that is found in normalized text as it is written behind others", () => {
    const byteFallback = byteFallbackFiles();
    const normalizer = { type: "Prepend", prepend: "▁" };
    const added = [{ id: 300, content: "<tool>", normalized: true, special: false }];
    const tokenizer = createTokenizer({
      ...byteFallback,
      tokenizer: { ...byteFallback.tokenizer, normalizer, added_tokens: added },
    });
    assert.equal(new TextDecoder().decode(tokenizer.tokenBytes(300) ?? undefined), " <tool>");
  });

  test("writes a token as it stands in normalized text where its characters stand for no bytes", () => {
    const added = ["Ω", "ŁÓDŹ"].map((content, i) => ({ id: 300 + i, content, normalized: true }));
    const tokenizer = createTokenizer({
      ...files,
      tokenizer: { ...files.tokenizer, normalizer: { type: "Lowercase" }, added_tokens: added },
    });
    const ids = tokenizer.encode("h Ω ŁÓDŹ");
    assert.ok(ids.includes(300) && ids.includes(301));
    assert.equal(tokenizer.decode(ids), "h ω łódź");
  });

  test("takes no added token for a part of a word", () => {
    const vocab = { "[UNK]": 0, a: 1, "##b": 2, "##a": 3 };
    const model = { type: "WordPiece", vocab, unk_token: "[UNK]", continuing_subword_prefix: "##" };
    const added = [{ id: 4, content: "ab", single_word: true }];
    const none = { normalizer: null, post_processor: null, decoder: null };
    const tokenizer = createTokenizer({
      tokenizer: { ...none, model, pre_tokenizer: { type: "BertPreTokenizer" }, added_tokens: added },
      config: {},
      chatTemplate: null,
    });
    assert.deepEqual(tokenizer.encode("ab aba"), [4, 1, 2, 3]);
  });

  test("takes a decoder that lists steps of another kind alone for one without steps, as the library does", () => {
    const decoder = { type: "Sequence", normalizers: [] };
    const odd = createTokenizer({ ...files, tokenizer: { ...files.tokenizer, decoder } });
    assert.equal(odd.decode(odd.encode("h")), "h");
  });

  test("says of a step that graft does not have that the file is not at fault", () => {
    const normalizer = { type: "Nmt" };
    assert.throws(() => createTokenizer({ ...files, tokenizer: { ...files.tokenizer, normalizer } }), {
      message: /Unknown Normalizer type: Nmt/,
      hint: /Choose a model whose tokenizer does not need it/,
    });
    const model = { ...(files.tokenizer["model"] as object), continuing_subword_prefix: "##" };
    assert.throws(() => createTokenizer({ ...files, tokenizer: { ...files.tokenizer, model } }), {
      message: /model\.continuing_subword_prefix is "##", expected none where type is BPE/,
      hint: /Choose a model whose tokenizer does not need it/,
    });
  });

  test("puts bos and eos around a text as add_bos_token and add_eos_token say", () => {
    const plain = createTokenizer(mergingFiles({ bos_token: { content: "<|endoftext|>" } }));
    assert.deepEqual(plain.encode("h"), [104]);
    const both = createTokenizer(
      mergingFiles({ bos_token: { content: "<|endoftext|>" }, add_bos_token: true, add_eos_token: true }),
    );
    assert.equal(both.bosId, 258);
    assert.deepEqual(both.encode("h"), [258, 104, 257]);
    assert.deepEqual(both.encode("h", { addSpecialTokens: false }), [104]);
    assert.deepEqual(both.encode(""), [258, 257]);
  });

  test("takes bos from the post-processor, and leaves it out when add_bos_token is false", () => {
    const post_processor = {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<|endoftext|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<|endoftext|>": { id: "<|endoftext|>", ids: [258], tokens: ["<|endoftext|>"] } },
    };
    const make = (config: Record<string, unknown>) =>
      createTokenizer({
        tokenizer: { ...files.tokenizer, post_processor },
        config: { ...files.config, bos_token: "<|endoftext|>", ...config },
        chatTemplate: null,
      });
    assert.deepEqual(make({}).prefixIds, [258]);
    assert.deepEqual(make({}).encode("h"), [258, 104]);
    assert.deepEqual(make({ add_bos_token: false }).encode("h"), [104]);
  });

  test("says what is wrong with a file that is no tokenizer", () => {
    assert.throws(
      () => createTokenizer({ tokenizer: {}, config: {}, chatTemplate: null }),
      (error: unknown) =>
        error instanceof FormatError &&
        error.code === "format/file" &&
        error.message.startsWith('Cannot read tokenizer "tokenizer.json": ') &&
        error.message.includes("model"),
    );
  });

  test("tells the bytes of all tokens in time linear in them, however many are added", () => {
    const added = files.tokenizer["added_tokens"] as object[];
    const more = Array.from({ length: 6000 }, (_, i) => ({ ...added[0], id: 259 + i, content: `<${i}>` }));
    const tokenizer = createTokenizer({
      ...files,
      tokenizer: { ...files.tokenizer, added_tokens: [...added, ...more] },
    });
    const start = processorMs();
    for (let n = 0; n < 100; n++) {
      for (let id = 0; id < 256; id++) assert.deepEqual(tokenizer.tokenBytes(id), Uint8Array.of(id));
    }
    assert.ok(processorMs() - start < 1000, `${processorMs() - start} ms`);
  });

  test("encodes a long text in linear time and equals its parts", () => {
    const tokenizer = createTokenizer(mergingFiles());
    const line = "hello, he said; <|im_end|> and 12 more\n";
    const lineIds = tokenizer.encode(line);
    const ids = tokenizer.encode(line.repeat(20_000));
    assert.equal(ids.length, lineIds.length * 20_000);
    assert.deepEqual(ids.slice(-lineIds.length), lineIds);
  });
});

describe("the parsed tokenizer.json of a folder", () => {
  const models = { BPE: {}, "BPE with merges of spaces": { merges: [["h e", "l"]] } };
  for (const [name, own] of Object.entries(models)) {
    for (const chatTemplate of [undefined, "chatml"]) {
      test(`is let go of by what is made of it (${name}, ${chatTemplate ?? "its own"} template)`, async () => {
        const model = { ...(files.tokenizer["model"] as object), ...own };
        const folder = memoryFolder("a", {
          "tokenizer.json": JSON.stringify({ ...files.tokenizer, model }),
          "tokenizer_config.json": JSON.stringify(files.config),
        });
        const read = await readTokenizerFiles(folder);
        const { tokenizerFiles } = withChatTemplate({ tokenizerFiles: read }, chatTemplate);
        const parsed = ((): WeakRef<object>[] => {
          const { tokenizer } = tokenizerFiles!;
          return [new WeakRef(tokenizer), new WeakRef((tokenizer["model"] as { vocab: object }).vocab)];
        })();
        const tokenizer = createTokenizer(tokenizerFiles!);
        const fewest = fewestTokens(tokenizer, tokenizerFiles!, 0);
        assert.ok(fewest(["hello"]) > 0);
        await new Promise((resolve) => setImmediate(resolve));
        findCollector()!();
        assert.deepEqual(
          parsed.map((each) => each.deref()),
          [undefined, undefined],
        );
        assert.ok(fewest(["hello"]) > 0);
        assert.deepEqual(tokenizer.encode("he", { addSpecialTokens: false }), [104, 101]);
      });
    }
  }
});

describe("stream()", () => {
  for (const [name, tokenizer] of [
    ["library", createTokenizer(files)],
    ["byte", createByteTokenizer()],
  ] as const) {
    test(`emits whole characters only and the same text as decode() in all (${name})`, () => {
      const stream = tokenizer.stream();
      const emitted = Array.from(new TextEncoder().encode("aé€🙂"), (byte) => stream.push(byte));
      assert.deepEqual(emitted, ["a", "", "é", "", "", "€", "", "", "", "🙂"]);
      assert.equal(stream.end(), "");
      fc.assert(
        fc.property(
          fc.array(
            fc.oneof(
              fc.integer({ min: 0, max: 258 }),
              fc.constantFrom(0xf0, 0x9f, 0x99, 0x82, 0xef, 0xbf, 0xbd),
            ),
          ),
          fc.boolean(),
          (ids, skipSpecialTokens) => {
            const stream = tokenizer.stream({ skipSpecialTokens });
            const text = ids.map((id) => stream.push(id)).join("") + stream.end();
            assert.equal(text, tokenizer.decode(ids, { skipSpecialTokens }));
          },
        ),
      );
    });
  }

  test("takes time linear in ids that show nothing, or stay broken, and emits the same text", () => {
    const spaces = createTokenizer(byteFallbackFiles());
    const cases: [string, Tokenizer, number[]][] = [
      ["special tokens", createTokenizer(files), Array.from({ length: 20_000 }, () => 257)],
      ["ids beyond the vocabulary", spaces, Array.from({ length: 20_000 }, () => 99_999)],
      ["beginnings of characters", createTokenizer(files), Array.from({ length: 20_000 }, () => 0xe2)],
      ["bytes of a fallback", spaces, Array.from({ length: 20_000 }, (_, i) => [0xe2, 0x82, 0xff][i % 3]!)],
    ];
    for (const [name, tokenizer, ids] of cases) {
      const started = processorMs();
      const stream = tokenizer.stream({ skipSpecialTokens: true });
      const pieces = [...ids, 0xe2, 0x82, 0xac, 0x61].map((id) => stream.push(id));
      const text = pieces.join("") + stream.end();
      assert.equal(
        text,
        tokenizer.decode([...ids, 0xe2, 0x82, 0xac, 0x61], { skipSpecialTokens: true }),
        name,
      );
      assert.ok(processorMs() - started < 5000, `${name}: ${processorMs() - started} ms`);
    }
  });

  test("lets go of broken bytes without a change of the text, whatever follows", () => {
    const tokenizers = [createTokenizer(files), createByteTokenizer(), createTokenizer(byteFallbackFiles())];
    const broken = fc.constantFrom(0xf0, 0x9f, 0x99, 0x82, 0xe2, 0x82, 0xac, 0xff, 0xc3);
    const run = fc.array(broken, { minLength: 100, maxLength: 300, size: "max" });
    fc.assert(
      fc.property(run, fc.array(fc.integer({ min: 0, max: 255 })), (head, tail) => {
        for (const tokenizer of tokenizers) {
          const ids = [...head, ...tail];
          const stream = tokenizer.stream();
          assert.equal(ids.map((id) => stream.push(id)).join("") + stream.end(), tokenizer.decode(ids));
        }
      }),
    );
  });

  test("keeps the space behind a text of bytes alone, or of a space, that it goes on from", () => {
    const tokenizer = createTokenizer(byteFallbackFiles());
    for (const after of [[...new TextEncoder().encode("🙂")], [256]]) {
      const stream = tokenizer.stream({ after });
      assert.equal(stream.push(256) + stream.push(257) + stream.end(), " a");
    }
    // Without the byte that is missing.
    const stream = tokenizer.stream({ after: [0xe2, 0x82] });
    assert.equal(stream.push(257) + stream.end(), "a");
  });

  test("emits broken bytes at once when the next byte settles them, and the rest at the end", () => {
    const stream = createByteTokenizer().stream();
    assert.deepEqual(
      [0xff, 0xff, 0x61, 0xe2].map((id) => stream.push(id)),
      ["", "\uFFFD", "\uFFFDa", ""],
    );
    assert.equal(stream.end(), "\uFFFD");
    assert.equal(stream.push(0x62), "b");
  });
});

describe("a tokenizer.json that would run without end", () => {
  const withSteps = (steps: object): TokenizerFiles => {
    const files = byteTokenizerFiles();
    return { ...files, tokenizer: { ...files.tokenizer, ...steps } };
  };
  const quickly = (work: () => unknown): void => {
    const started = processorMs();
    work();
    assert.ok(processorMs() - started < 2000, `took ${processorMs() - started} ms`);
  };
  const text = `${"a".repeat(60)}!`;

  test("splits and replaces by patterns of other engines' horror in linear time", () => {
    const pattern = { Regex: "(a+)+b" };
    for (const steps of [
      { pre_tokenizer: { type: "Split", pattern, behavior: "Isolated", invert: false } },
      { normalizer: { type: "Replace", pattern, content: "b" } },
    ]) {
      const tokenizer = createTokenizer(withSteps(steps));
      quickly(() => assert.equal(tokenizer.decode(tokenizer.encode(text)), text));
    }
  });

  test("ends when squares of a long text take too long, and says what to do", () => {
    const pattern = { Regex: "[\\s\\S]+\\u0001" };
    let ms = 0;
    const budget = (): TimeBudget => new TimeBudget(() => (ms += 500));
    for (const steps of [
      { pre_tokenizer: { type: "Split", pattern, behavior: "Isolated", invert: false } },
      { normalizer: { type: "Replace", pattern, content: "b" } },
    ]) {
      const tokenizer = createTokenizer(withSteps(steps), budget());
      assert.throws(() => tokenizer.encode("x".repeat(400_000)), {
        code: "format/file",
        message: /Cannot encode with tokenizer "tokenizer\.json": it does not end: \d+\.\d s so far/,
        hint: /Split the text into shorter ones/,
      });
      assert.equal(tokenizer.decode(tokenizer.encode("short")), "short");
    }
  });

  test("refuses a pattern of no known form, which the library would write onto the terminal", () => {
    const split = { type: "Split", pattern: "\u001B]0;x\u0007", behavior: "Isolated", invert: false };
    const steps = { pre_tokenizer: { type: "Sequence", pretokenizers: [split] } };
    assert.throws(() => createTokenizer(withSteps(steps)), {
      code: "format/file",
      message: /a pattern is "\\u001b\]0;x\\u0007", expected \{"Regex"/,
    });
    for (const type of ["Split", "Replace"]) {
      assert.throws(() => createTokenizer(withSteps({ normalizer: null, pre_tokenizer: { type } })), {
        code: "format/file",
        message: /a pattern is absent, expected \{"Regex"/,
      });
    }
  });

  test("refuses a pattern that cannot be made linear, and replacements that grow without end", () => {
    for (const [regex, message] of [
      ["(a+)+(?!b)", /the pattern \{"Regex":"\(a\+\)\+\(\?!b\)"\} .*could search forever/],
      // What the library makes of it has lookahead.
      ["(a+)+$", /the pattern \{"Regex":"\(a\+\)\+\$"\} .*could search forever/],
    ] as const) {
      const split = { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false };
      quickly(() =>
        assert.throws(() => createTokenizer(withSteps({ pre_tokenizer: split })), {
          code: "format/file",
          message,
        }),
      );
    }
    const double = { type: "Replace", pattern: { String: "a" }, content: "aa" };
    const normalizer = { type: "Sequence", normalizers: Array.from({ length: 30 }, () => double) };
    quickly(() =>
      assert.throws(() => createTokenizer(withSteps({ normalizer })), {
        code: "format/file",
        message: /its replacements make a text of \d+ characters/,
      }),
    );
  });
});
