/**
 * @file A tokenizer with one token a byte, for tests: ids 0 to 255 are the bytes, then the specials.
 *
 * `byteTokenizerFiles` is the same tokenizer as a real tokenizer.json (byte-level BPE without merges), so that a tiny
 * model folder can carry it and every other program reads it.
 */
import type { TokenizerFiles } from "../../src/format/checkpoint/checkpoint.ts";
import { CHATML } from "../../src/data/chat/chat-template.ts";
import { createTokenStream } from "../../src/data/tokenizer/token-stream.ts";
import type { DecodeOptions, Tokenizer } from "../../src/data/tokenizer/tokenizer.ts";

/** Special tokens in the order of their ids, from 256. */
const SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"] as const;
const EOS = "<|im_end|>";
const PAD = "<|endoftext|>";

/** The printable character that byte-level BPE writes for a byte: itself if visible in Latin-1, else from U+0100 on. */
function byteSymbols(): string[] {
  let numHidden = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const isVisible =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    return String.fromCodePoint(isVisible ? byte : 0x100 + numHidden++);
  });
}

/** Makes tokenizer.json and tokenizer_config.json of the byte tokenizer, with the ChatML template; the caller owns them. */
export function byteTokenizerFiles(): TokenizerFiles {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: SPECIALS.map((content, i) => ({
        id: 256 + i,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(byteSymbols().map((symbol, byte) => [symbol, byte])),
        merges: [],
      },
    },
    config: {
      tokenizer_class: "PreTrainedTokenizerFast",
      model_max_length: 1_000_000,
      clean_up_tokenization_spaces: false,
      bos_token: null,
      eos_token: EOS,
      pad_token: PAD,
      unk_token: null,
      chat_template: CHATML,
    },
    chatTemplate: null,
  };
}

/** Makes the byte tokenizer directly; equal to `createTokenizer(byteTokenizerFiles())` in everything. */
export function createByteTokenizer(): Tokenizer {
  const symbols = byteSymbols();
  const specialTokens = new Map<string, number>(SPECIALS.map((token, i) => [token, 256 + i]));
  const boundaries = /(<\|im_start\|>|<\|im_end\|>|<\|endoftext\|>)/;

  const decode = (ids: readonly number[] | Int32Array, options: DecodeOptions = {}): string => {
    let text = "";
    let bytes: number[] = [];
    const flush = (): void => {
      text += new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
      bytes = [];
    };
    for (const id of ids) {
      const special = SPECIALS[id - 256];
      if (id >= 0 && id < 256) bytes.push(id);
      else if (special !== undefined && options.skipSpecialTokens !== true) {
        flush();
        text += special;
      }
    }
    flush();
    return text;
  };

  const encode = (text: string): number[] =>
    text.split(boundaries).flatMap((part) => {
      const id = specialTokens.get(part);
      return id === undefined ? Array.from(new TextEncoder().encode(part)) : [id];
    });

  return {
    vocabSize: 256 + SPECIALS.length,
    bosId: null,
    eosId: specialTokens.get(EOS) ?? null,
    padId: specialTokens.get(PAD) ?? null,
    specialTokens,
    wholeTokens: [],
    prefixIds: [],
    suffixIds: [],
    encode,
    pair: { middle: [], suffix: [] },
    encodePair: (first, second) => ({ ids: encode(first + second), secondAt: encode(first).length }),
    decode,
    tokenToId(token) {
      const byte = symbols.indexOf(token);
      return byte >= 0 ? byte : (specialTokens.get(token) ?? null);
    },
    tokenBytes: (id) =>
      id >= 0 && id < 256
        ? Uint8Array.of(id)
        : SPECIALS[id - 256]
          ? new TextEncoder().encode(SPECIALS[id - 256])
          : null,
    stream: (options = {}) =>
      createTokenStream((ids) => decode(ids, options), {
        before: options.after ?? [],
        isLeftOut: () => false,
      }),
  };
}
