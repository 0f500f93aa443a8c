/** @file Reads the tokenizer files of a model folder: tokenizer.json, its settings, the chat template. */
import { type Folder, pathIn, readJsonIfPresent } from "../files/folder.ts";
import { type JsonObject, parseJsonObject } from "../files/json-file.ts";
import { madeWhileHeld } from "../files/made-while-held.ts";
import type { TokenizerFiles, UnusedTokenizerFiles } from "./checkpoint.ts";
import { tokenText } from "./token-text.ts";
import { TOOL_USE_FILE, listedTemplate, withToolUse } from "./tool-use-template.ts";

/** The file without which a folder has no usable tokenizer. */
export const TOKENIZER_FILE = "tokenizer.json";

/** Finds the chat template in tokenizer_config.json: a string, or a list of named ones. */
function templateOf(config: JsonObject): string | null {
  const template = config["chat_template"];
  return typeof template === "string" ? template : listedTemplate(config, "default");
}

/** Reads the tokenizer files of a folder, even without tokenizer.json. @throws FormatError format/json */
export async function readAnyTokenizerFiles(folder: Folder): Promise<UnusedTokenizerFiles> {
  const files = await readTokenizerFiles(folder);
  return files ?? { tokenizer: null, ...(await readTokenizerSettings(folder)) };
}

async function readTokenizerSettings(folder: Folder): Promise<Omit<TokenizerFiles, "tokenizer">> {
  const config = await withOlderTokens(
    folder,
    (await readJsonIfPresent(folder, "tokenizer_config.json")) ?? {},
  );
  const chatTemplate = (await folder.text("chat_template.jinja")) ?? templateOf(config);
  const toolUse = await folder.text(TOOL_USE_FILE);
  return { config: toolUse === null ? config : withToolUse(config, chatTemplate, toolUse), chatTemplate };
}

/**
 * Adds tokens that older programs write in separate files. As in transformers, these are ignored if the configuration lists all
 * tokens, and special tokens from there replace those of the configuration.
 */
async function withOlderTokens(folder: Folder, config: JsonObject): Promise<JsonObject> {
  if (config["added_tokens_decoder"] !== undefined) return config;
  const { additional_special_tokens: additional, ...named } =
    (await readJsonIfPresent(folder, "special_tokens_map.json")) ?? {};
  const added = Object.entries((await readJsonIfPresent(folder, "added_tokens.json")) ?? {});
  const { additional_special_tokens: own, extra_special_tokens: extra } = config;
  const isAbsent = own === undefined && extra === undefined && additional !== undefined;
  const whole = { ...config, ...named, ...(isAbsent && { additional_special_tokens: additional }) };
  if (added.length === 0) return whole;
  const names = new Set([...Object.values(whole), own, extra, additional].flat().map(tokenText));
  const listed = added.map(([content, id]) => {
    const special = names.has(content);
    return [String(id), { content, special, normalized: !special }] as const;
  });
  return { ...whole, added_tokens_decoder: Object.fromEntries(listed) };
}

/** Reads the tokenizer files of a folder; null without tokenizer.json. @throws FormatError format/json */
export async function readTokenizerFiles(folder: Folder): Promise<TokenizerFiles | null> {
  const text = await folder.text(TOKENIZER_FILE);
  if (text === null) return null;
  const parse = parsedWhileHeld(text, pathIn(folder, TOKENIZER_FILE));
  parse();
  return {
    get tokenizer() {
      return parse();
    },
    ...(await readTokenizerSettings(folder)),
  };
}

/**
 * Parses JSON on demand, again if the result was garbage-collected: a vocabulary takes several times the memory of its text.
 * Repeated keys are not looked for, since that takes as long as parsing.
 */
function parsedWhileHeld(text: string, source: string): () => JsonObject {
  const bytes = new TextEncoder().encode(text);
  return madeWhileHeld(() => parseJsonObject(new TextDecoder().decode(bytes), source));
}
