/**
 * @file Finds the form in which a template shows the content and calls of messages, by rendering examples.
 *
 * Templates of models that also read images loop over the parts of a content and print the text of each. Given a string, such a
 * loop iterates over characters, none of which has a text, so every message is silently empty. Arguments that are JSON in a
 * string are printed unchanged by some templates, with their spaces and digits; others quote strings, or read members of an
 * object.
 */
import { JsonText, type Message } from "../rows/messages.ts";
import { withArguments } from "./message-forms.ts";

/** The form in which a template is given messages. */
export interface ShownForm {
  write(message: Message): Readonly<Record<string, unknown>>;
  /** Whether the template shows content in at least one of the two forms. */
  readonly showsContent: boolean;
}

/** @throws Error when the template rejects the messages */
type Render = (messages: readonly Readonly<Record<string, unknown>>[]) => string;

const asText = (message: Message): Readonly<Record<string, unknown>> => message;
const asParts: typeof asText = (message) => ({
  ...message,
  content: [{ type: "text", text: message.content }],
});

/** Conversations to try, the fullest first: some templates accept no system message, and some no answer. */
const TRIED = [["system", "user", "assistant"], ["user", "assistant"], ["user"]] as const;
/** Arguments whose text changes when they are quoted, or parsed and written again. */
const ARGUMENTS = '{"4815":1623}';

/** Finds the form of a template with few renderings. */
export function shownFormOf(render: Render): ShownForm {
  const attempt: Render = (messages) => {
    try {
      return render(messages);
    } catch {
      return "";
    }
  };
  const content = contentForm(attempt);
  const write = content ?? asText;
  const call = { id: "call00001", type: "function", function: { name: "f", arguments: ARGUMENTS } };
  const calling: Message[] = [
    { role: "user", content: "a" },
    { role: "assistant", content: "", tool_calls: [call] },
  ];
  const isPrinted = attempt(calling.map(write)).includes(ARGUMENTS);
  const change = (given: unknown): unknown =>
    given instanceof JsonText ? (isPrinted ? given.text : given.value) : given;
  return {
    write: (message) => write(withArguments(message, change)),
    showsContent: content !== null,
  };
}

/** The form in which more messages of a conversation show; text if both show as many; null: none shows in either. */
function contentForm(render: Render): typeof asText | null {
  for (const roles of TRIED) {
    // Digits, which changes of letter case and quoting do not alter.
    const messages = roles.map((role, i): Message => ({ role, content: `4815${i}1623` }));
    const [inTexts = 0, inParts = 0] = [asText, asParts].map((form) => {
      const text = render(messages.map(form));
      return messages.filter(({ content }) => text.includes(content)).length;
    });
    if (inTexts + inParts > 0) return inParts > inTexts ? asParts : asText;
  }
  return null;
}

/** Whether a text shows none of the messages that have content. */
export function areAllHidden(messages: readonly Message[], text: string): boolean {
  const saying = messages.map(({ content }) => content.trim()).filter((content) => content !== "");
  return saying.length > 0 && !saying.some((content) => text.includes(content));
}
