/**
 * @file Builds the tokenizer settings of a GGUF file from the tokenizer files of a folder: the inverse of gguf-tokenizer.ts.
 *
 * Whatever such a file cannot express is an error: a tokenizer that is nearly the same would make answers worse for no visible
 * reason.
 */
import { TEMPLATE_NAMES_KEY, TOOL_USE_KEY, toolUseOf } from "../tool-use-template.ts";
import type { TokenizerFiles } from "../checkpoint.ts";
import { tokenText } from "../token-text.ts";
import { textOfPiece } from "./gguf-sentencepiece.ts";
import { SPECIAL_TOKENS } from "./gguf-tokenizer.ts";
import { TOKEN_TYPES, type TokenizerKind, cannotWrite } from "./tokenizer-kind.ts";
import { TOKENIZER_KINDS } from "./tokenizer-kinds.ts";
import type { GgufValue } from "../../files/gguf/gguf-setting-bytes.ts";
import type { JsonObject } from "../../files/json-file.ts";
import { type TokenizerJson, stepsOf } from "./tokenizer-steps.ts";

/** Finds the kind as which a tokenizer is written. @throws UsageError "usage/model" when there is none */
function kindOf(modelName: string, json: TokenizerJson): TokenizerKind {
  const kinds: readonly TokenizerKind[] = Object.values(TOKENIZER_KINDS);
  const found = kinds.find(({ writes }) => writes?.claims(json));
  if (found) return found;
  const known = kinds.flatMap(({ writes }) => writes?.summary ?? []).join(", ");
  throw cannotWrite(modelName, `tokenizer type ${String(json.model.type)}`, known);
}

function requirePlainTokens(modelName: string, { added_tokens = [] }: TokenizerJson): void {
  const odd = added_tokens.find(({ lstrip, rstrip, single_word }) => lstrip || rstrip || single_word);
  if (odd === undefined) return;
  throw cannotWrite(
    modelName,
    `token ${JSON.stringify(odd.content)} strips spaces or matches whole words only`,
    "tokens without such rules",
  );
}

/** Matches a token that stands for a byte. */
const BYTE = /^<0x[0-9A-F]{2}>$/;

/** Lists the text and the type of each id up to the size of the vocabulary. */
function listTokens(
  modelName: string,
  { model, added_tokens = [] }: TokenizerJson,
  vocabSize: number,
): { readonly tokens: readonly string[]; readonly types: readonly number[] } {
  const hasBytes = model.byte_fallback === true;
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types: number[] = tokens.map(() => TOKEN_TYPES.unused);
  const put = (content: string, id: number, type: number): void => {
    if (id >= vocabSize) {
      throw cannotWrite(
        modelName,
        `token ${JSON.stringify(content)} has id ${id}`,
        `ids below ${vocabSize}, the rows of the embedding`,
      );
    }
    tokens[id] = content;
    types[id] = type;
  };
  for (const [content, id] of Object.entries(model.vocab ?? {})) {
    put(content, id, hasBytes && BYTE.test(content) ? TOKEN_TYPES.byte : TOKEN_TYPES.normal);
  }
  for (const { content, id, special } of added_tokens) {
    const isUnknown = hasBytes && content === model.unk_token;
    const type = isUnknown ? TOKEN_TYPES.unknown : TOKEN_TYPES.control;
    put(content, id, special === true ? type : TOKEN_TYPES.userDefined);
  }
  return { tokens, types };
}

/** The special token that the post-processor puts at the start (0) or end (-1) of a text; null for none. */
function affix({ post_processor }: TokenizerJson, end: 0 | -1): string | null {
  const template = stepsOf(post_processor).find(({ type }) => type === "TemplateProcessing");
  const single = (template?.["single"] ?? []) as readonly {
    readonly SpecialToken?: { readonly id: string };
  }[];
  return single.at(end)?.SpecialToken?.id ?? null;
}

/** Settings for tokens that are not in a tokenizer's files. */
interface VocabularySettings {
  /** Rows of the embedding. */
  readonly vocabSize: number;
  readonly generationConfig: Readonly<Record<string, unknown>> | null;
}

/** Names that GGUF has for tokens other than eos that end a text. */
const OTHER_ENDS = ["eot", "eom"];

/** Ids other than eos that end a text. @throws UsageError "usage/model" for more than there are names */
function otherEnds(
  modelName: string,
  generationConfig: VocabularySettings["generationConfig"],
  eosId: number | undefined,
): Record<string, GgufValue> {
  const ids = [generationConfig?.["eos_token_id"]]
    .flat()
    .filter((id): id is number => typeof id === "number");
  const others = [...new Set(ids)].filter((id) => id !== eosId);
  if (others.length > OTHER_ENDS.length) {
    throw cannotWrite(
      modelName,
      `the ids ${others.join(", ")} end a text in addition to eos`,
      `at most ${OTHER_ENDS.length} of them`,
    );
  }
  return Object.fromEntries(
    others.map((value, i) => [`${OTHER_ENDS[i]}_token_id`, { type: "uint32", value } as const]),
  );
}

/** Settings for special tokens, and for those that are put at the start and end of a text. */
function specialTokens(
  json: TokenizerJson,
  config: JsonObject,
  ids: ReadonlyMap<string, number>,
): Record<string, GgufValue> {
  const settings: Record<string, GgufValue> = {};
  const tokenOf = (name: keyof typeof SPECIAL_TOKENS): string | null =>
    tokenText(config[SPECIAL_TOKENS[name]]);
  for (const name of Object.keys(SPECIAL_TOKENS) as (keyof typeof SPECIAL_TOKENS)[]) {
    const id = ids.get(tokenOf(name) ?? "");
    if (id !== undefined) settings[`${name}_token_id`] = { type: "uint32", value: id };
  }
  for (const [name, end] of [
    ["bos", 0],
    ["eos", -1],
  ] as const) {
    const told = config[`add_${name}_token`];
    const token = tokenOf(name);
    const value = token !== null && (typeof told === "boolean" ? told : affix(json, end) === token);
    settings[`add_${name}_token`] = { type: "bool", value };
  }
  return settings;
}

/**
 * Builds the tokenizer settings.
 * @throws UsageError usage/model for a tokenizer that such settings cannot express, or more ids that end a text than they have names for
 */
export function tokenizerSettings(
  modelName: string,
  files: TokenizerFiles,
  { vocabSize, generationConfig }: VocabularySettings,
): Record<string, GgufValue> {
  const json = files.tokenizer as unknown as TokenizerJson;
  const kind = kindOf(modelName, json);
  requirePlainTokens(modelName, json);
  const { tokens, types } = listTokens(modelName, json, vocabSize);
  const hasPieces = json.model.byte_fallback === true;
  const written = tokens.map((token, id) =>
    hasPieces && types[id] === TOKEN_TYPES.userDefined ? textOfPiece(token) : token,
  );
  const settings: Record<string, GgufValue> = {
    ...kind.write(modelName, json, tokens),
    tokens: { type: "strings", value: written },
    token_type: { type: "int32s", value: types },
  };
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const eosId = ids.get(tokenText(files.config[SPECIAL_TOKENS.eos]) ?? "");
  Object.assign(
    settings,
    specialTokens(json, files.config, ids),
    otherEnds(modelName, generationConfig, eosId),
  );
  const toolUse = toolUseOf(files.config);
  return {
    ...Object.fromEntries(Object.entries(settings).map(([key, value]) => [`tokenizer.ggml.${key}`, value])),
    ...(files.chatTemplate === null
      ? {}
      : { "tokenizer.chat_template": { type: "string", value: files.chatTemplate } as const }),
    ...(toolUse !== null && {
      [TEMPLATE_NAMES_KEY]: { type: "strings", value: ["tool_use"] } as const,
      [TOOL_USE_KEY]: { type: "string", value: toolUse } as const,
    }),
  };
}
