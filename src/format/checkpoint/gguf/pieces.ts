/**
 * @file SentencePiece's BPE in GGUF files: pieces with scores that imply the merges ("llama"), or with a list of merges
 * ("gemma4").
 */
import type { GgufMetadata } from "../../files/gguf/gguf.ts";
import type { JsonObject } from "../../files/json-file.ts";
import { metadataNumber } from "./gguf-metadata.ts";
import {
  type Merge,
  mergesOfPieces,
  pieceDecoder,
  pieceOfText,
  scoresOfMerges,
  spaceNormalizer,
} from "./gguf-sentencepiece.ts";
import {
  PLAIN_BPE,
  TOKEN_TYPES,
  type TokenizerKind,
  type TokenizerParts,
  type Vocabulary,
  cannotWrite,
  isPlainBpe,
  mergesOf,
  metadataList,
} from "./tokenizer-kind.ts";
import { type TokenizerJson, type WrittenStep, isSame, stepsOf } from "./tokenizer-steps.ts";

export const pieces: TokenizerKind = {
  read: readParts,
  writes: {
    summary: "BPE of pieces without prefixes and suffixes",
    claims: (json) => isPlainBpe(json) && json.model.byte_fallback === true,
  },
  write(modelName, json, tokens) {
    const addsPrefix = findPrefix(modelName, json);
    const scores = scoresOfMerges(tokens, mergesOf(json));
    if (scores === null) return mergedPieces.write(modelName, json, tokens);
    return {
      model: { type: "string", value: "llama" },
      scores: { type: "float32s", value: scores },
      add_space_prefix: { type: "bool", value: addsPrefix },
    };
  },
};

/** The same with merges listed in the file; no space is put first. */
export const mergedPieces: TokenizerKind = {
  read: (file, vocabulary) =>
    partsOf(file, vocabulary, { addsPrefix: false, specialIds: {} }, () =>
      metadataList<string>(file, "merges", "string"),
    ),
  // `pieces` delegates tokenizers whose merges no scores imply.
  writes: null,
  write(modelName, json) {
    if (findPrefix(modelName, json))
      throw cannotWrite(modelName, "merges of its own", "all that its pieces allow");
    return {
      model: { type: "string", value: "gemma4" },
      merges: { type: "strings", value: mergesOf(json).map((pair) => pair.join(" ")) },
      add_space_prefix: { type: "bool", value: false },
    };
  },
};

function readParts(file: GgufMetadata, vocabulary: Vocabulary): TokenizerParts {
  const { types } = vocabulary;
  const scores = metadataList<number>(file, "scores", "number");
  const isMade = (id: number): boolean =>
    types[id] !== TOKEN_TYPES.control && types[id] !== TOKEN_TYPES.unknown && types[id] !== TOKEN_TYPES.byte;
  const addsPrefix = file.metadata["tokenizer.ggml.add_space_prefix"] !== false;
  const specialIds = { bos: 1, eos: 2, unknown: 0 };
  return partsOf(file, vocabulary, { addsPrefix, specialIds }, (pieces) =>
    mergesOfPieces(pieces, (id) => (isMade(id) ? (scores[id] ?? 0) : null)),
  );
}

function partsOf(
  file: GgufMetadata,
  { tokens, types }: Vocabulary,
  { addsPrefix, specialIds }: Pick<TokenizerParts, "addsPrefix" | "specialIds">,
  mergesIn: (pieces: readonly string[]) => readonly (string | Merge)[],
): TokenizerParts {
  const pieces = tokens.map((token, id) =>
    types[id] === TOKEN_TYPES.userDefined ? pieceOfText(token) : token,
  );
  const unknownId = metadataNumber(file, "tokenizer.ggml.unknown_token_id") ?? specialIds["unknown"] ?? -1;
  return {
    tokens: pieces,
    normalizer: spaceNormalizer(addsPrefix),
    preTokenizer: null,
    decoder: pieceDecoder(addsPrefix),
    model: {
      ...PLAIN_BPE,
      unk_token: pieces[unknownId] ?? null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      merges: mergesIn(pieces),
    },
    specialTypes: [TOKEN_TYPES.control, TOKEN_TYPES.unknown],
    takeSpaces: true,
    addsPrefix,
    addsBos: true,
    specialIds,
  };
}

/** Cuts at spaces; has no effect, since the normalizer has replaced them all. */
const CUTS_AT_SPACES: JsonObject = {
  type: "Split",
  pattern: { String: " " },
  behavior: "MergedWithPrevious",
  invert: false,
};

/** Whether a tokenizer puts a space first. @throws UsageError usage/model when text is changed or cut in another way */
function findPrefix(modelName: string, { normalizer, pre_tokenizer, model }: TokenizerJson): boolean {
  const [isCut, isNormal] = [stepsOf(pre_tokenizer), stepsOf(normalizer)];
  const found = [true, false].find((adds) => isSame(isNormal, stepsOf(spaceNormalizer(adds) as WrittenStep)));
  const cutsNothing = isCut.length === 0 || isSame(isCut, [CUTS_AT_SPACES]);
  if (found !== undefined && cutsNothing && model.ignore_merges !== true) return found;
  const types = [...isNormal, ...isCut].map(({ type }) => type).join(", ");
  throw cannotWrite(
    modelName,
    `its pieces come from text modified by ${types || "nothing"}`,
    "signs for spaces and no splitting",
  );
}
