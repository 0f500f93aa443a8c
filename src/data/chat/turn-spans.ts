/**
 * @file Finds the characters of a rendered conversation that each assistant turn writes: content and end-of-turn token, no
 * header.
 *
 * 1. By the template's `{% generation %}` marks, if there is one span for each assistant turn.
 * 2. Else by prefixes: the turn begins where the rendering of the messages before it, with a generation prompt, ends, and
 *   ends where the rendering up to it ends. Exact if both are prefixes of the whole text.
 * 3. Else (templates that write earlier turns differently, such as Qwen3's, or whose generation prompt opens <think>):
 *   the text that changes when the turn's reasoning, content and calls are replaced, and the special token after it.
 */
import { UsageError } from "../../errors.ts";
import type { ChatTemplate } from "./chat-template.ts";
import type { TextSpan } from "./generation-marks.ts";
import type { Message } from "../rows/messages.ts";
import { withReasoning } from "./message-forms.ts";
import { MAX_RENDERED_TURNS } from "../../untrusted/limits.ts";
import { calledNames, notShown, requireShown, withoutCalls } from "./shown-parts.ts";

/** A rendered conversation and, for each of its assistant messages in order, the characters that it writes. */
interface RenderedTurns {
  readonly text: string;
  readonly spans: readonly TextSpan[];
}

interface Rendering {
  readonly template: ChatTemplate;
  readonly messages: readonly Message[];
  readonly tools: readonly unknown[] | null;
  readonly specialTokens: readonly string[];
}

/** A rendering with its text. */
interface RenderedChat extends Rendering {
  readonly text: string;
}

/** Removes white space after the last special token: templates put it between turns, the model does not have to write it. */
function trimAfterSpecial(
  text: string,
  { start, end }: TextSpan,
  specialTokens: readonly string[],
): TextSpan {
  const trimmed = text.slice(start, end).trimEnd();
  const endsInSpecial = specialTokens.some((token) => trimmed.endsWith(token));
  return { start, end: endsInSpecial ? start + trimmed.length : end };
}

/** Way 2; null when the renderings are not prefixes of the whole text. */
function spanByPrefixes(c: RenderedChat, index: number): TextSpan | null {
  const { template, tools, text } = c;
  let [upTo, asked] = ["", ""];
  try {
    const isLast = index === c.messages.length - 1;
    upTo = isLast ? text : template.render(c.messages.slice(0, index + 1), { tools });
    asked = template.render(c.messages.slice(0, index), { tools, addGenerationPrompt: true });
  } catch (error) {
    // Some templates reject the beginning of a conversation that they accept: no messages, or no answer.
    if (error instanceof UsageError) return null;
    throw error;
  }
  if (!text.startsWith(upTo) || !upTo.startsWith(asked)) return null;
  return trimAfterSpecial(text, { start: asked.length, end: upTo.length }, c.specialTokens);
}

/** Texts that no template and no row contains. */
const CONTENT = "\uE0F2content\uE0F2";
const THOUGHT = "\uE0F2thought\uE0F2";

/** A turn with replaced texts, and the replacement that comes first in it. */
interface Replacement {
  readonly message: Message;
  readonly first: string;
}

/** Returns the replacements to try, in order: reasoning and content, content only, reasoning within the content. */
function replacementsOf(message: Message): readonly Replacement[] {
  const said = { ...withoutCalls(message), content: CONTENT };
  const thoughts = { reasoning_content: THOUGHT, thinking: THOUGHT, reasoning: THOUGHT };
  const within = { ...said, content: `<think>${THOUGHT}</think>${CONTENT}` };
  return [
    ...(withReasoning(message)["reasoning_content"]
      ? [{ message: { ...said, ...thoughts }, first: THOUGHT }]
      : []),
    { message: said, first: CONTENT },
    ...(message.content.includes("</think>") ? [{ message: within, first: THOUGHT }] : []),
  ];
}

/** Way 3; null when the turn's content does not show in the text. */
function spanByReplacement(c: RenderedChat, index: number): TextSpan | null {
  for (const { message, first } of replacementsOf(c.messages[index]!)) {
    const messages = c.messages.map((own, i) => (i === index ? message : own));
    const span = spanOfReplaced(c, c.template.render(messages, { tools: c.tools }), first);
    if (span !== null) return span;
  }
  return null;
}

/** The part of `text` in place of what runs from `first` to the content in `other`; null if that cannot be found. */
function spanOfReplaced(
  { text, specialTokens }: RenderedChat,
  other: string,
  first: string,
): TextSpan | null {
  const start = other.indexOf(first);
  const contentAt = other.indexOf(CONTENT);
  if (start < 0 || contentAt < 0 || text.slice(0, start) !== other.slice(0, start)) return null;
  const rest = other.slice(contentAt + CONTENT.length);
  if (!text.endsWith(rest) || text.length - rest.length < start) return null;
  const end = text.length - rest.length;
  const space = rest.length - rest.trimStart().length;
  const ending = specialTokens
    .filter((token) => rest.startsWith(token, space))
    .reduce((longest, token) => (token.length > longest.length ? token : longest), "");
  return { start, end: ending === "" ? end : end + space + ending.length };
}

/** @throws usage/chat-template for so many turns that finding each would take too long */
function requireFewTurns(numTurns: number): void {
  if (numTurns <= MAX_RENDERED_TURNS) return;
  throw new UsageError(
    "usage/chat-template",
    `Cannot find ${numTurns} messages in a rendered conversation: each is found by rendering all those before it, expected at most ${MAX_RENDERED_TURNS}`,
    { hint: "Split the conversation, or train only on the last assistant turn." },
  );
}

/** Joins adjacent spans: some templates mark a turn's content and its end separately. */
function joinSpans(spans: readonly TextSpan[] | null): readonly TextSpan[] | null {
  const joined: TextSpan[] = [];
  for (const span of spans ?? []) {
    const before = joined.at(-1);
    if (before?.end === span.start) joined[joined.length - 1] = { start: before.start, end: span.end };
    else joined.push(span);
  }
  return spans && joined;
}

/**
 * Renders a conversation and finds what the assistant writes in it.
 *
 * @throws usage/chat-template when the template rejects the messages or a wanted turn cannot be found in its text;
 *   turns that are not `wanted` get an empty span then
 */
export function renderTurns(rendering: Rendering, wanted: (messageIndex: number) => boolean): RenderedTurns {
  const { template, messages, tools } = rendering;
  const text = template.render(messages, { tools });
  requireShown(template, messages, tools, text);
  const turns = messages.flatMap(({ role }, i) => (role === "assistant" ? [i] : []));
  const marked = template.generationSpans(messages, { tools });
  const found = [marked, joinSpans(marked)].find((spans) => spans?.length === turns.length);
  if (found) return { text, spans: found };
  requireFewTurns(turns.filter(wanted).length);

  const chat: RenderedChat = { ...rendering, text };
  const spans = turns.map((index) => {
    if (!wanted(index)) return { start: 0, end: 0 };
    const span = spanByPrefixes(chat, index) ?? spanByReplacement(chat, index);
    const names = calledNames(messages[index]!);
    if (span !== null && names.every((name) => text.slice(span.start, span.end).includes(name))) return span;
    if (span !== null) throw notShown(`the tool calls of message ${index + 1}`, "tool_calls");
    throw notFound("assistant message", index, "Train only on the last assistant turn");
  });
  return { text, spans };
}

/**
 * Finds messages of any role in a rendered conversation: their content and end-of-turn token, by way 3.
 * @throws usage/chat-template when one cannot be found in its text
 */
export function messageSpans(chat: RenderedChat, indexes: readonly number[]): readonly TextSpan[] {
  requireFewTurns(indexes.length);
  return indexes.map((index) => {
    const span = spanByReplacement(chat, index);
    if (span === null) throw notFound("message", index, "Remove its weight");
    return span;
  });
}

function notFound(what: string, index: number, remedy: string): UsageError {
  return new UsageError(
    "usage/chat-template",
    `Cannot find ${what} ${index + 1} in the rendered conversation: the chat template writes it differently, expected its content`,
    { hint: `${remedy}, or choose another template.` },
  );
}
