/** @file Byte-level BPE in GGUF files, where `tokenizer.ggml.pre` names the way in which text is cut before merging. */
import type { GgufMetadata } from "../../files/gguf/gguf.ts";
import { PRE_TOKENIZERS, type PreTokenizer, findPreTokenizer } from "./gguf-pre-tokenizers.ts";
import {
  PLAIN_BPE,
  TOKEN_TYPES,
  type TokenizerKind,
  type TokenizerParts,
  type Vocabulary,
  cannotRead,
  cannotWrite,
  isPlainBpe,
  mergesOf,
  metadataList,
} from "./tokenizer-kind.ts";
import { type TokenizerJson, isSame, stepsOf } from "./tokenizer-steps.ts";

export const bytePairs: TokenizerKind = {
  read: readParts,
  writes: {
    summary: "BPE of bytes without prefixes and suffixes",
    claims: (json) => isPlainBpe(json) && json.model.byte_fallback !== true,
  },
  write: (modelName, json) => ({
    model: { type: "string", value: "gpt2" },
    pre: { type: "string", value: namePreTokenizer(modelName, json) },
    merges: { type: "strings", value: mergesOf(json).map((pair) => pair.join(" ")) },
  }),
};

function readParts(file: GgufMetadata, { tokens }: Vocabulary): TokenizerParts {
  const word = file.metadata["tokenizer.ggml.pre"];
  const pre = typeof word === "string" ? findPreTokenizer(word) : undefined;
  if (pre === undefined) {
    const known = Object.keys(PRE_TOKENIZERS).join(", ");
    throw cannotRead(file, `pre-tokenizer ${JSON.stringify(word ?? null)}`, `one of ${known}`);
  }
  const { steps } = pre;
  return {
    tokens,
    normalizer: pre.normalizer,
    preTokenizer: steps.length === 1 ? steps[0]! : { type: "Sequence", pretokenizers: steps },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      ...PLAIN_BPE,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges,
      merges: metadataList<string>(file, "merges", "string"),
    },
    specialTypes: [TOKEN_TYPES.control],
    takeSpaces: false,
    addsPrefix: false,
    addsBos: pre.addsBos,
    specialIds: {},
  };
}

/** Finds the name for the way in which text is cut. @throws UsageError usage/model for a way that is not in PRE_TOKENIZERS */
function namePreTokenizer(modelName: string, { normalizer, pre_tokenizer, model }: TokenizerJson): string {
  const found = Object.entries(PRE_TOKENIZERS).find(
    ([, pre]: [string, PreTokenizer]) =>
      isSame(stepsOf(pre_tokenizer), pre.steps) &&
      isSame(stepsOf(normalizer), pre.normalizer === null ? [] : [pre.normalizer]) &&
      (model.ignore_merges ?? false) === pre.ignoreMerges,
  );
  if (found !== undefined) return found[0];
  const types = [...stepsOf(normalizer), ...stepsOf(pre_tokenizer)].map(({ type }) => type).join(", ");
  throw cannotWrite(
    modelName,
    `it splits text by ${types || "nothing"}${model.ignore_merges === true ? " ignoring merges" : ""} with custom settings`,
    `the way of ${Object.keys(PRE_TOKENIZERS).join(", ")}`,
  );
}
