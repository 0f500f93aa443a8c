/**
 * @file In which form a template shows what messages say and call. Only rendering tells.
 *
 * Templates of models that also read images loop over parts of a content and print the text of each. Over a text such a loop goes
 * character by character, none of which has a text, and every message is silently empty. Arguments that are JSON in a string are
 * printed as they are by some templates, with their spaces and digits; others quote a string, or want to look into an object.
 */
import { JsonText, type Message } from "../rows/messages.ts";
import { withArguments } from "./message-forms.ts";

/** What templates see of messages. */
export interface ShownForm {
  write(message: Message): Readonly<Record<string, unknown>>;
  /** Whether a content shows in the one form or the other. */
  readonly showsContent: boolean;
}

/** @throws Error where the template wants other messages */
type Render = (messages: readonly Readonly<Record<string, unknown>>[]) => string;

const asText = (message: Message): Readonly<Record<string, unknown>> => message;
const asParts: typeof asText = (message) => ({
  ...message,
  content: [{ type: "text", text: message.content }],
});

/** Conversations to try, the fullest first: some templates know no systems, and some no answers. */
const TRIED = [["system", "user", "assistant"], ["user", "assistant"], ["user"]] as const;
/** Arguments that are another text once they are quoted, or read and written. */
const ARGUMENTS = '{"4815":1623}';

/** Finds the form of a template, by few renderings. */
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

/** The form in which most messages of a conversation show, a text where both do; null: none shows in either. */
function contentForm(render: Render): typeof asText | null {
  for (const roles of TRIED) {
    // Digits, which letter case and quoting leave as they are.
    const messages = roles.map((role, i): Message => ({ role, content: `4815${i}1623` }));
    const [inTexts = 0, inParts = 0] = [asText, asParts].map((form) => {
      const text = render(messages.map(form));
      return messages.filter(({ content }) => text.includes(content)).length;
    });
    if (inTexts + inParts > 0) return inParts > inTexts ? asParts : asText;
  }
  return null;
}

/** Whether none of the messages that say something shows in a text. */
export function areAllHidden(messages: readonly Message[], text: string): boolean {
  const saying = messages.map(({ content }) => content.trim()).filter((content) => content !== "");
  return saying.length > 0 && !saying.some((content) => text.includes(content));
}
