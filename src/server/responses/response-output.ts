/** @file The output items of an answer of the Responses API while it is written, and the events that report them. */
import type { ChatDelta } from "../texts/chat-answer.ts";

/** An event for clients, without its number. */
export interface ResponseEvent {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** Kinds of items with text: their fields, and the names of their parts and events. */
const TEXT_ITEMS = {
  reasoning: {
    idPrefix: "rs",
    fields: { type: "reasoning", summary: [] },
    part: "reasoning_text",
    events: "response.reasoning_text",
  },
  message: {
    idPrefix: "msg",
    fields: { type: "message", role: "assistant" },
    part: "output_text",
    events: "response.output_text",
  },
} as const;
type Call = NonNullable<ChatDelta["tool_calls"]>[number];
type TextKind = keyof typeof TEXT_ITEMS;

interface OpenItem {
  readonly kind: TextKind;
  readonly id: string;
  text: string;
  readonly logProbs: object[];
}

export class ResponseOutput {
  readonly #newId: () => string;
  readonly #items: object[] = [];
  /** The item that is being written. */
  #open: OpenItem | null = null;

  constructor(newId: () => string) {
    this.#newId = newId;
  }

  /** All items, including the unfinished one as it is. */
  get items(): readonly object[] {
    return this.#open ? [...this.#items, textItem(this.#open, "incomplete")] : this.#items;
  }

  /** Adds the new part of an answer, with log-probabilities of the tokens of its text. */
  add(delta: ChatDelta, logProbs: readonly object[]): ResponseEvent[] {
    return [
      ...this.#addText("reasoning", delta.reasoning_content ?? "", []),
      ...this.#addText("message", delta.content ?? "", logProbs),
      ...(delta.tool_calls ?? []).flatMap((call) => this.#addCall(call)),
    ];
  }

  /** Ends the last item; `logProbs`: of tokens without text at its end. An empty answer gets an item with empty text. */
  end(status: "completed" | "incomplete", logProbs: readonly object[]): ResponseEvent[] {
    const begun = this.#open || this.#items.length > 0 ? [] : this.#begin("message");
    if (this.#open?.kind === "message") this.#open.logProbs.push(...logProbs);
    return [...begun, ...this.#close(status)];
  }

  #addText(kind: TextKind, text: string, logProbs: readonly object[]): ResponseEvent[] {
    if (text === "") return [];
    const begun = this.#open?.kind === kind ? [] : [...this.#close("completed"), ...this.#begin(kind)];
    const open = this.#open!;
    open.text += text;
    open.logProbs.push(...logProbs);
    const told = kind === "message" ? { logprobs: logProbs } : {};
    return [
      ...begun,
      { type: `${TEXT_ITEMS[kind].events}.delta`, ...this.#place(open.id), delta: text, ...told },
    ];
  }

  #begin(kind: TextKind): ResponseEvent[] {
    const id = `${TEXT_ITEMS[kind].idPrefix}_${this.#newId()}`;
    this.#open = { kind, id, text: "", logProbs: [] };
    const item = { ...textItem(this.#open, "in_progress"), content: [] };
    return [
      { type: "response.output_item.added", output_index: this.#items.length, item },
      { type: "response.content_part.added", ...this.#place(id), part: textPart(this.#open) },
    ];
  }

  #close(status: "completed" | "incomplete"): ResponseEvent[] {
    const open = this.#open;
    if (!open) return [];
    const { kind, id, text, logProbs } = open;
    const place = this.#place(id);
    const item = textItem(open, status);
    this.#open = null;
    this.#items.push(item);
    return [
      {
        type: `${TEXT_ITEMS[kind].events}.done`,
        ...place,
        text,
        ...(kind === "message" && { logprobs: logProbs }),
      },
      { type: "response.content_part.done", ...place, part: textPart(open) },
      { type: "response.output_item.done", output_index: place.output_index, item },
    ];
  }

  /** Calls are reported when they are complete. */
  #addCall({ id: callId, function: { name, arguments: text } }: Call): ResponseEvent[] {
    const ended = this.#close("completed");
    const id = `fc_${this.#newId()}`;
    const call = { type: "function_call", id, call_id: callId, name };
    const item = { ...call, arguments: text, status: "completed" };
    const output_index = this.#items.push(item) - 1;
    const place = { item_id: id, output_index };
    return [
      ...ended,
      {
        type: "response.output_item.added",
        output_index,
        item: { ...call, arguments: "", status: "in_progress" },
      },
      { type: "response.function_call_arguments.delta", ...place, delta: text },
      { type: "response.function_call_arguments.done", ...place, name, arguments: text },
      { type: "response.output_item.done", output_index, item },
    ];
  }

  #place(id: string) {
    return { item_id: id, output_index: this.#items.length, content_index: 0 };
  }
}

function textPart({ kind, text, logProbs }: OpenItem): object {
  const type = TEXT_ITEMS[kind].part;
  return kind === "message" ? { type, text, annotations: [], logprobs: [...logProbs] } : { type, text };
}

function textItem(open: OpenItem, status: string): object {
  return { id: open.id, ...TEXT_ITEMS[open.kind].fields, status, content: [textPart(open)] };
}
