/** @file One answer of a chat while it is written: its text, the calls in it, and what clients are told of both. */
import { CallReader, type ReadPart } from "../../engine/tool-calls/call-reader.ts";
import type { FinishReason } from "../../engine/serving/serve-request.ts";
import { finishReasonOf } from "./text-job.ts";
import type { ToolUse } from "./tool-use.ts";

/** What is new of an answer. */
export interface ChatDelta {
  readonly content?: string;
  readonly tool_calls?: readonly object[];
}

export class ChatAnswer {
  readonly #reader: CallReader | null;
  readonly #idOf: (unique: string) => string;
  readonly #newId: () => string;
  #content = "";
  readonly #calls: object[] = [];

  constructor({ format, functions, isForced }: ToolUse, newId: () => string) {
    this.#reader = format && new CallReader(format, functions, isForced);
    this.#idOf = format?.idOf ?? String;
    this.#newId = newId;
  }

  /** Takes a piece of text; null: nothing can be told yet. */
  push(text: string): ChatDelta | null {
    return this.#add(this.#reader?.push(text) ?? { content: text, calls: [] });
  }

  /** Takes the end. */
  end(): ChatDelta | null {
    return this.#reader && this.#add(this.#reader.end());
  }

  #add({ content, calls }: ReadPart): ChatDelta | null {
    this.#content += content;
    const first = this.#calls.length;
    const made = calls.map((call) => ({ id: this.#idOf(this.#newId()), type: "function", function: call }));
    this.#calls.push(...made);
    if (content === "" && made.length === 0) return null;
    return {
      ...(content === "" ? {} : { content }),
      ...(made.length > 0 && { tool_calls: made.map((call, i) => ({ index: first + i, ...call })) }),
    };
  }

  /** All of it. */
  get message(): object {
    const hasCalls = this.#calls.length > 0;
    const content = hasCalls && this.#content === "" ? null : this.#content;
    return { role: "assistant", content, refusal: null, ...(hasCalls && { tool_calls: this.#calls }) };
  }

  /** What clients are told of how it ended. */
  finishReason(reason: FinishReason): string {
    return reason === "stop" && this.#calls.length > 0 ? "tool_calls" : finishReasonOf(reason);
  }
}
