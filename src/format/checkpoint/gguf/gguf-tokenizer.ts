/** @file Builds tokenizer.json and tokenizer_config.json from a GGUF file's metadata. */
import type { GgufRules } from "../../../models/config/gguf-rules.ts";
import type { TokenizerFiles } from "../checkpoint.ts";
import type { GgufMetadata } from "../../files/gguf/gguf.ts";
import { TOOL_USE_KEY, withToolUse } from "../tool-use-template.ts";
import { metadataNumber } from "./gguf-metadata.ts";
import {
  TOKEN_TYPES,
  type TokenizerKind,
  type TokenizerParts,
  cannotRead,
  metadataList,
} from "./tokenizer-kind.ts";
import { TOKENIZER_KINDS } from "./tokenizer-kinds.ts";
import type { JsonObject } from "../../files/json-file.ts";
import { madeWhileHeld } from "../../files/made-while-held.ts";
import { lookup } from "../../files/lookup.ts";

/** Keys of tokenizer_config.json for special tokens, by their names in GGUF files. */
export const SPECIAL_TOKENS = {
  bos: "bos_token",
  eos: "eos_token",
  unknown: "unk_token",
  padding: "pad_token",
} as const;

/** Makes the post-processor that puts bos before a text. */
function bosTemplate(token: string, id: number): JsonObject {
  const bos = { SpecialToken: { id: token, type_id: 0 } };
  const [first, second] = ["A", "B"].map((sequence, i) => ({ Sequence: { id: sequence, type_id: i } }));
  return {
    type: "TemplateProcessing",
    single: [bos, first],
    pair: [bos, first, { SpecialToken: { id: token, type_id: 1 } }, second],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

/** Adds a vocabulary that is made on demand: mostly the list of tokens suffices. */
function withVocabulary(model: JsonObject, tokens: readonly string[]): JsonObject {
  const vocabulary = madeWhileHeld(() => Object.fromEntries(tokens.map((token, id) => [token, id])));
  return {
    ...model,
    get vocab() {
      return vocabulary();
    },
  };
}

/** Lists the tokens that are matched in text before it is cut. */
function addedTokens(
  { tokens, specialTypes, takeSpaces }: TokenizerParts,
  types: readonly number[],
  takesSpacesAfter: NonNullable<GgufRules["takesSpacesAfter"]>,
): JsonObject[] {
  return tokens.flatMap((content, id) => {
    const special = specialTypes.includes(types[id]!);
    if (!special && types[id] !== TOKEN_TYPES.userDefined) return [];
    const rstrip = takeSpaces && takesSpacesAfter(content);
    return [{ id, content, single_word: false, lstrip: false, rstrip, normalized: false, special }];
  });
}

function specialId(file: GgufMetadata, { specialIds }: TokenizerParts, name: string): number | null {
  return metadataNumber(file, `tokenizer.ggml.${name}_token_id`) ?? specialIds[name] ?? null;
}

/** Builds tokenizer_config.json. */
function configOf(file: GgufMetadata, parts: TokenizerParts, addsBos: boolean): JsonObject {
  const config: JsonObject = {
    add_bos_token: addsBos,
    add_eos_token: file.metadata["tokenizer.ggml.add_eos_token"] === true,
    add_prefix_space: parts.addsPrefix,
    clean_up_tokenization_spaces: false,
    model_max_length: metadataNumber(file, `${String(file.metadata["general.architecture"])}.context_length`),
    tokenizer_class: "PreTrainedTokenizerFast",
  };
  for (const [name, key] of Object.entries(SPECIAL_TOKENS)) {
    const id = specialId(file, parts, name);
    if (id !== null && parts.tokens[id] !== undefined) config[key] = parts.tokens[id];
  }
  return config;
}

/**
 * Makes the tokenizer files of a GGUF file; null when it holds no tokenizer. `takesSpacesAfter`: the rule of its family.
 * @throws FormatError format/file when lists are missing; UsageError usage/model for kinds that graft does not know
 */
export function makeTokenizerFiles(
  file: GgufMetadata,
  takesSpacesAfter: GgufRules["takesSpacesAfter"] = () => false,
): TokenizerFiles | null {
  const kind = file.metadata["tokenizer.ggml.model"];
  if (kind === undefined) return null;
  const found = typeof kind === "string" ? lookup<TokenizerKind>(TOKENIZER_KINDS, kind) : undefined;
  if (found === undefined) {
    const known = Object.keys(TOKENIZER_KINDS).map((name) => JSON.stringify(name));
    throw cannotRead(file, `tokenizer type ${JSON.stringify(kind)}`, `one of ${known.join(", ")}`);
  }
  const hasTypes = file.metadata["tokenizer.ggml.token_type"] !== undefined;
  const types = hasTypes ? metadataList<number>(file, "token_type", "number") : [];
  const parts = found.read(file, { tokens: metadataList<string>(file, "tokens", "string"), types });
  const { tokens } = parts;
  const bosId = specialId(file, parts, "bos");
  const bos = bosId === null ? undefined : tokens[bosId];
  const addsBos =
    (file.metadata["tokenizer.ggml.add_bos_token"] ?? parts.addsBos) === true && bos !== undefined;
  const template = file.metadata["tokenizer.chat_template"];
  const chatTemplate = typeof template === "string" ? template : null;
  const toolUse = file.metadata[TOOL_USE_KEY];
  const config = configOf(file, parts, addsBos);
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: addedTokens(parts, types, takesSpacesAfter),
      normalizer: parts.normalizer,
      pre_tokenizer: parts.preTokenizer,
      post_processor: addsBos && bosId !== null ? bosTemplate(bos, bosId) : null,
      decoder: parts.decoder,
      model: withVocabulary(parts.model, tokens),
    },
    tokens,
    config: typeof toolUse === "string" ? withToolUse(config, chatTemplate, toolUse) : config,
    chatTemplate,
  };
}
