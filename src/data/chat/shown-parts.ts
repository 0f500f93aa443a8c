/**
 * @file Checks that a chat template shows what a row contains: tools, calls of tools, and their results.
 *
 * Templates print the keys that they know and ignore others without an error: a call would be learned as an empty answer. A
 * part counts as not shown if removing it does not change the text.
 */
import { UsageError } from "../../errors.ts";
import type { ChatTemplate } from "./chat-template.ts";
import type { Message } from "../rows/messages.ts";
import { withReasoning } from "./message-forms.ts";

/** A text that no template and no row contains. */
const MARKER = "\uE0F2result\uE0F2";

/** Renames roles that a template does not mention: developer becomes system, function becomes tool. */
export function withKnownRoles(template: ChatTemplate, messages: readonly Message[]): readonly Message[] {
  const source = template.source ?? "";
  const knowsDeveloper = source.includes("developer");
  const knowsFunction = source.split(/[%}]/).some(comparesFunction);
  return messages.map((message) => {
    if (message.role === "developer" && !knowsDeveloper) return { ...message, role: "system" };
    return message.role === "function" && !knowsFunction ? { ...message, role: "tool" } : message;
  });
}

/** Whether a part of a template's source compares a role with "function". */
function comparesFunction(part: string): boolean {
  const at = part.search(/role\W{0,4}\s*(?:==|in)/);
  return at >= 0 && /["']function["']/.test(part.slice(at));
}

/** Refuses a conversation if the template leaves out a part of it; `text` is its rendering. @throws usage/chat-template */
export function requireShown(
  template: ChatTemplate,
  messages: readonly Message[],
  tools: readonly unknown[] | null,
  text: string,
): void {
  const isSame = (others: readonly Message[], otherTools: readonly unknown[] | null): boolean => {
    try {
      return template.render(others, { tools: otherTools }) === text;
    } catch {
      return false; // it reads the missing part
    }
  };
  if (tools !== null && tools.length > 0 && isSame(messages, null)) throw notShown("tools", "tools");
  const calling = messages.findIndex(hasCalls);
  if (calling >= 0 && isSame(messages.map(withoutCalls), tools)) {
    throw notShown(`the tool calls of message ${calling + 1}`, "tool_calls");
  }
  const result = messages.findIndex(({ role }) => role === "tool" || role === "function");
  const marked = messages.map((message) =>
    message.role === "tool" || message.role === "function" ? { ...message, content: MARKER } : message,
  );
  if (result >= 0 && messages[result]!.content !== "" && isSame(marked, tools)) {
    throw notShown(`the tool result in message ${result + 1}`, "tool messages");
  }
}

/** Whether a turn's text contains all content and reasoning of its message, apart from white space and marks around reasoning. */
export function isAllShown(message: Message, turn: string): boolean {
  const { content, reasoning_content: reasoning } = withReasoning(message);
  const squeeze = (text: string): string => text.replace(/\s+/g, "");
  const said = [content, typeof reasoning === "string" ? reasoning : ""].flatMap((text) =>
    text.split(/<\/?think>/),
  );
  const shown = squeeze(turn);
  return said.every((part) => shown.includes(squeeze(part)));
}

function hasCalls({ tool_calls: calls }: Message): boolean {
  return Array.isArray(calls) && calls.length > 0;
}

/** The message without its calls. */
export function withoutCalls(message: Message): Message {
  const { tool_calls: _calls, ...rest } = message;
  return rest;
}

/** Names of the functions that a message calls. */
export function calledNames({ tool_calls: calls }: Message): string[] {
  return (Array.isArray(calls) ? (calls as unknown[]) : []).flatMap((call) => {
    const { name, function: called } = (call ?? {}) as { name?: unknown; function?: { name?: unknown } };
    const found = called?.name ?? name;
    return typeof found === "string" ? [found] : [];
  });
}

/** Makes the error for a part that the template leaves out. */
export function notShown(what: string, key: string): UsageError {
  return new UsageError(
    "usage/chat-template",
    `Cannot show ${what}: the chat template drops them, expected one that prints ${key}`,
    { hint: "Choose a model whose template supports tools, or leave such rows out." },
  );
}
