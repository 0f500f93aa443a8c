/**
 * @file In which form a template shows what messages say: as a text, or as a list of parts.
 *
 * Templates of models that also read images loop over parts and print the text of each. Over a text such a loop goes character by
 * character, none of which has a text, and every message is silently empty. Only rendering tells which form a template wants.
 */
import type { Message } from "../rows/messages.ts";

/** Gives a message its content in the form that a template shows. */
export type ContentForm = (message: Message) => Readonly<Record<string, unknown>>;

const asText: ContentForm = (message) => message;
const asParts: ContentForm = (message) => ({
  ...message,
  content: [{ type: "text", text: message.content }],
});

/** Conversations to try, the fullest first: some templates know no systems, and some no answers. */
const TRIED = [["system", "user", "assistant"], ["user", "assistant"], ["user"]] as const;

/** The form in which most messages of a conversation show, a text where both do; null: none shows in either. */
export function contentFormOf(
  render: (messages: readonly Message[], form: ContentForm) => string,
): ContentForm | null {
  for (const roles of TRIED) {
    // Digits, which letter case and quoting leave as they are.
    const messages = roles.map((role, i): Message => ({ role, content: `4815${i}1623` }));
    const numShown = (form: ContentForm): number => {
      try {
        return countShown(messages, render(messages, form));
      } catch {
        return 0; // It wants another conversation, or the other form.
      }
    };
    const [inTexts, inParts] = [numShown(asText), numShown(asParts)];
    if (inTexts + inParts > 0) return inParts > inTexts ? asParts : asText;
  }
  return null;
}

/** How many messages have their content in a text. */
function countShown(messages: readonly Message[], text: string): number {
  return messages.filter(({ content }) => text.includes(content)).length;
}

/** Whether none of the messages that say something shows in a text. */
export function areAllHidden(messages: readonly Message[], text: string): boolean {
  const saying = messages.map(({ content }) => content.trim()).filter((content) => content !== "");
  return saying.length > 0 && !saying.some((content) => text.includes(content));
}
