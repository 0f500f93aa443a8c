/**
 * @file One answer of a chat while it is written. It is split into thoughts, text and calls of functions, and clients receive
 * each part as it grows.
 */
import { CallReader, type CallPart } from "../../engine/tool-calls/call-reader.ts";
import type { ToolCall } from "../../engine/tool-calls/tool-format.ts";
import type { ThoughtReader } from "../../engine/answers/thought-reader.ts";
import type { FinishReason } from "../../engine/serving/serve-request.ts";
import { finishReasonOf } from "./text-job.ts";
import type { ToolUse } from "./tool-use.ts";

/** A call in the form for clients. */
interface TextCall {
  readonly id: string;
  readonly type: "function";
  readonly function: ToolCall;
}

/** The new part of an answer. */
export interface ChatDelta {
  readonly reasoning_content?: string;
  readonly content?: string;
  readonly tool_calls?: readonly (TextCall & { readonly index: number })[];
}

export class ChatAnswer {
  /** What is sent before the first token, as OpenAI does: null content if calls are forced, so that no text follows. */
  readonly opening: { readonly role: "assistant"; readonly content: "" | null };
  readonly #thoughts: ThoughtReader | null;
  readonly #reader: CallReader | null;
  readonly #idOf: (unique: string) => string;
  readonly #newId: () => string;
  #reasoning = "";
  #content = "";
  readonly #calls: TextCall[] = [];

  /** `thoughts` null: the model does not think. */
  constructor({ format, functions, isForced }: ToolUse, thoughts: ThoughtReader | null, newId: () => string) {
    this.opening = { role: "assistant", content: isForced ? null : "" };
    this.#thoughts = thoughts;
    this.#reader = format && new CallReader(format, functions, { isForced });
    this.#idOf = format?.idOf ?? ((unique) => `call_${unique}`);
    this.#newId = newId;
  }

  /** Whether the next text belongs to a thought, as far as is certain. */
  get isThinking(): boolean {
    return this.#thoughts?.isThinking === true;
  }

  /** Takes a piece of text; null: nothing can be sent yet. */
  push(text: string): ChatDelta | null {
    const { reasoning, content } = this.#thoughts?.push(text) ?? { reasoning: "", content: text };
    return this.#add(reasoning, [this.#read(content)]);
  }

  end(): ChatDelta | null {
    const { reasoning, content } = this.#thoughts?.end() ?? { reasoning: "", content: "" };
    return this.#add(reasoning, [this.#read(content), ...(this.#reader ? [this.#reader.end()] : [])]);
  }

  /** Calls are read only outside of thoughts. */
  #read(content: string): CallPart {
    return this.#reader?.push(content) ?? { content, calls: [] };
  }

  #add(reasoning: string, parts: readonly CallPart[]): ChatDelta | null {
    const content = parts.map((part) => part.content).join("");
    const calls = parts.flatMap((part) => part.calls);
    this.#reasoning += reasoning;
    this.#content += content;
    const first = this.#calls.length;
    const made = calls.map((call): TextCall => ({
      id: this.#idOf(this.#newId()),
      type: "function",
      function: call,
    }));
    this.#calls.push(...made);
    if (reasoning === "" && content === "" && made.length === 0) return null;
    return {
      ...(reasoning !== "" && { reasoning_content: reasoning }),
      ...(content === "" ? {} : { content }),
      ...(made.length > 0 && { tool_calls: made.map((call, i) => ({ index: first + i, ...call })) }),
    };
  }

  /** The whole message. */
  get message(): object {
    const hasCalls = this.#calls.length > 0;
    const nothing = hasCalls ? null : this.opening.content;
    return {
      role: "assistant",
      ...(this.#reasoning !== "" && { reasoning_content: this.#reasoning }),
      content: this.#content === "" ? nothing : this.#content,
      refusal: null,
      ...(hasCalls && { tool_calls: this.#calls }),
    };
  }

  /** The finish reason for clients. */
  finishReason(reason: FinishReason): string {
    return reason === "stop" && this.#calls.length > 0 ? "tool_calls" : finishReasonOf(reason);
  }
}
