/**
 * @file The chat template for conversations with tools that some models have in addition to the default one. tokenizer_config.json
 * lists both; transformers 5 writes it to a file in a separate folder, llama.cpp's converter under a separate key.
 */
import type { JsonObject } from "../files/json-file.ts";

const NAME = "tool_use";

/** Its path as transformers writes it. */
export const TOOL_USE_FILE = `additional_chat_templates/${NAME}.jinja`;

/** Keys of GGUF files: for this template, and for the names of all templates but the default. */
export const TOOL_USE_KEY = `tokenizer.chat_template.${NAME}`;
export const TEMPLATE_NAMES_KEY = "tokenizer.chat_templates";

/** The template of a name in a list of templates of tokenizer_config.json; null: there is none. */
export function listedTemplate(config: JsonObject, name: string): string | null {
  const listed = config["chat_template"];
  if (!Array.isArray(listed)) return null;
  const named = listed as readonly ({ name?: unknown; template?: unknown } | null)[];
  const found = named.find((entry) => entry?.name === name)?.template;
  return typeof found === "string" ? found : null;
}

/** The template for tools that a configuration lists; null: there is none. */
export const toolUseOf = (config: JsonObject): string | null => listedTemplate(config, NAME);

/** Adds a list of the default template and this one to a configuration. */
export function withToolUse(config: JsonObject, byDefault: string | null, toolUse: string): JsonObject {
  const list = [
    ...(byDefault === null ? [] : [{ name: "default", template: byDefault }]),
    { name: NAME, template: toolUse },
  ];
  return { ...config, chat_template: list };
}
