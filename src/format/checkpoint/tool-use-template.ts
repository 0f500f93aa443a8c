/**
 * @file The chat template that a model has for conversations with tools, beside its default one: in tokenizer_config.json a list
 * names both, transformers 5 writes it as a file in a folder of its own, llama.cpp's converter under a key of its own.
 */
import type { JsonObject } from "../files/json-file.ts";

const NAME = "tool_use";

/** Where transformers writes it. */
export const TOOL_USE_FILE = `additional_chat_templates/${NAME}.jinja`;

/** Where GGUF files hold it, and the names of all but the default. */
export const TOOL_USE_KEY = `tokenizer.chat_template.${NAME}`;
export const TEMPLATE_NAMES_KEY = "tokenizer.chat_templates";

/** The template of a name in tokenizer_config.json, where it lists several; null: there is none. */
export function listedTemplate(config: JsonObject, name: string): string | null {
  const listed = config["chat_template"];
  if (!Array.isArray(listed)) return null;
  const named = listed as readonly ({ name?: unknown; template?: unknown } | null)[];
  const found = named.find((entry) => entry?.name === name)?.template;
  return typeof found === "string" ? found : null;
}

/** The one for tools that a configuration lists; null: there is none. */
export const toolUseOf = (config: JsonObject): string | null => listedTemplate(config, NAME);

/** The configuration with a list of the default template and this one. */
export function withToolUse(config: JsonObject, byDefault: string | null, toolUse: string): JsonObject {
  const list = [
    ...(byDefault === null ? [] : [{ name: "default", template: byDefault }]),
    { name: NAME, template: toolUse },
  ];
  return { ...config, chat_template: list };
}
