/**
 * @file A conversation with a model: the messages so far, and answers to the next one.
 *
 * Every turn renders the whole conversation; the generator runs only what its cache does not hold yet.
 */
import type { Message } from "../data/messages.ts";
import type { TextModel, TextRequest, WrittenText } from "./text-model.ts";

export class Conversation {
  readonly #model: TextModel;
  readonly #system: readonly Message[];
  #messages: readonly Message[];

  /** `system` null: none but what the template puts there itself. */
  constructor(model: TextModel, system: string | null = null) {
    this.#model = model;
    this.#system = system === null ? [] : [{ role: "system", content: system }];
    this.#messages = this.#system;
  }

  /** All messages so far, the system's included. */
  get messages(): readonly Message[] {
    return this.#messages;
  }

  /** Forgets everything but the system's message. */
  reset(): void {
    this.#messages = this.#system;
  }

  /**
   * Answers a message; `onText` is told of each piece. An answer that was stopped stays in the conversation as far as it
   * went; a question that failed, or was stopped before the first word, does not.
   * @throws UsageError "usage/shape" when the conversation is longer than the model's positions, "usage/chat-template".
   */
  async ask(question: string, request: TextRequest, onText?: (piece: string) => void): Promise<WrittenText> {
    const asked: Message[] = [...this.#messages, { role: "user", content: question }];
    const answer = await this.#model.write(this.#model.encodeChat(asked), request, onText);
    const isEmpty = answer.finishReason === "aborted" && answer.text === "";
    if (!isEmpty) this.#messages = [...asked, { role: "assistant", content: answer.text }];
    return answer;
  }
}
