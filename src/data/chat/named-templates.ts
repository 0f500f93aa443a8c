/** @file Chat templates that can be chosen by name instead of as a file, for models that come without one. */
import { nearest } from "../../messages/nearest.ts";
import { Sha256 } from "../../sha256.ts";
import { CHATML } from "./chat-template.ts";
import { NAME_OR_PATH } from "../../messages/paths.ts";

/** "User:" and "Assistant:" before each message, and the model's own end-of-text token after an answer. */
const PLAIN =
  "{{ bos_token }}{% for message in messages %}" +
  "{% if message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] }}{{ eos_token }}{{ '\\n' }}" +
  "{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}" +
  "{% else %}{{ message['content'] + '\\n' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}";

/** Headings of instructions, as in data sets in Alpaca's form. */
const ALPACA =
  "{{ bos_token }}{% for message in messages %}" +
  "{% if message['role'] == 'assistant' %}{{ '### Response:\\n' + message['content'] }}{{ eos_token }}{{ '\\n\\n' }}" +
  "{% elif message['role'] == 'user' %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}" +
  "{% else %}{{ message['content'] + '\\n\\n' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}";

/** Name → source. */
export const NAMED_TEMPLATES: ReadonlyMap<string, string> = new Map([
  ["chatml", CHATML],
  ["plain", PLAIN],
  ["alpaca", ALPACA],
]);

/** Names of the templates, as a list for messages. */
export const TEMPLATE_NAMES: string = [...NAMED_TEMPLATES.keys()].join(", ");

/** Setting: a template that replaces the model's own. */
export const CHAT_TEMPLATE = NAME_OR_PATH.optional().describe(
  `Chat template instead of the model's own: ${TEMPLATE_NAMES}, or a Jinja file`,
);

/** Returns the name of the template with a hash; null if none has it. */
export function nameOfTemplate(hash: string | null): string | null {
  const found = [...NAMED_TEMPLATES].find(([, source]) => new Sha256().update(source).digest() === hash);
  return found?.[0] ?? null;
}

/** Returns the template name closest to a misspelt one; null if none is close. */
export function nearestTemplate(name: string): string | null {
  return nearest(name, [...NAMED_TEMPLATES.keys()]);
}
