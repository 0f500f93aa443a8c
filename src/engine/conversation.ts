/**
 * @file A conversation with a model: the messages so far, and answers to the next one.
 *
 * Every turn renders the whole conversation; the generator runs only what its cache does not hold yet. What no longer
 * fits the model's positions loses its oldest turns.
 */
import { z } from "zod";
import { checkArguments, objectWith, lazily } from "../messages/arguments.ts";
import type { Message } from "../data/rows/messages.ts";
import type { TextModel, TextRequest, WrittenText } from "./text-model.ts";

/** Share of the positions that is kept free for an answer at most. */
const MAX_ANSWER_SHARE = 0.25;
/** Share of what may be asked that is left when turns are dropped: else the next question would drop some again. */
const KEPT_SHARE = 0.75;

const SYSTEM = lazily(() => z.strictObject({ system: z.string().nullable() }));
const PARTS = lazily(() =>
  SYSTEM().extend({
    model: objectWith<TextModel>(
      "a model, as openTextModel() returns it",
      "parts",
      "write",
      "encodeChat",
      "withoutThoughts",
    ),
  }),
);
const QUESTION = lazily(() =>
  z.strictObject({ question: z.string(), request: z.looseObject({ maxNewTokens: z.int().min(0) }) }),
);

/** What the model answers to a question. */
export interface Answer extends WrittenText {
  /** Questions, with their answers, that were forgotten to make room. */
  readonly numDroppedTurns: number;
}

/** A conversation with a model, which is the caller's. */
export class Conversation {
  readonly #model: TextModel;
  #system: string | null;
  /** Questions and answers in turn. */
  #turns: readonly Message[] = [];
  #numResets = 0;
  /** Ends when all that was asked is answered, or has failed. */
  #lastAsked: Promise<unknown> = Promise.resolve();

  /** `system` null: none but what the template puts there itself. */
  constructor(model: TextModel, system: string | null = null) {
    checkArguments("Conversation", PARTS, { model, system });
    this.#model = model;
    this.#system = system;
  }

  /** All messages so far, the system's included. */
  get messages(): readonly Message[] {
    return this.#withSystem(this.#turns);
  }

  /** Replaces the system's message, and keeps all others; null: there is none. */
  setSystem(system: string | null): void {
    checkArguments("setSystem", SYSTEM, { system });
    this.#system = system;
  }

  /** Forgets everything but the system's message; what was asked before is still answered, and forgotten too. */
  reset(): void {
    this.#numResets++;
    this.#turns = [];
  }

  /**
   * Answers a message, after those that were asked before it; `onText` is told of each piece. An answer that was stopped stays in the conversation as far as it
   * went; a question that failed, or was stopped before the first word, does not.
   * @throws UsageError "usage/length" when system and question alone are longer than the model's positions,
   * "usage/chat-template".
   */
  async ask(question: string, request: TextRequest, onText?: (piece: string) => void): Promise<Answer> {
    checkArguments("ask", QUESTION, { question, request });
    const numResets = this.#numResets;
    const answering = this.#lastAsked.then(() => this.#answer(question, request, onText, numResets));
    this.#lastAsked = answering.catch(() => {});
    return await answering;
  }

  /** `numResets`: those that there had been when it was asked. */
  async #answer(
    question: string,
    request: TextRequest,
    onText: ((piece: string) => void) | undefined,
    numResets: number,
  ): Promise<Answer> {
    const asked: Message[] = [...this.#turns, { role: "user", content: question }];
    const { turns, ids } = this.#fit(asked, request.maxNewTokens);
    const answer = await this.#model.write(ids, request, onText);
    const isEmpty = answer.finishReason === "aborted" && answer.text === "";
    const content = this.#model.withoutThoughts(answer.text);
    const isReset = numResets !== this.#numResets;
    if (!isEmpty && !isReset) this.#turns = [...turns, { role: "assistant", content }];
    return { ...answer, numDroppedTurns: (asked.length - turns.length) / 2 };
  }

  /** Drops the oldest turns where there are more tokens than the model has positions for, with an answer. */
  #fit(asked: readonly Message[], maxNewTokens: number): { turns: readonly Message[]; ids: number[] } {
    const { maxPositions } = this.#model.parts.base.model;
    const limit = maxPositions - Math.min(maxNewTokens, Math.floor(MAX_ANSWER_SHARE * maxPositions));
    let turns = asked;
    let ids = this.#model.encodeChat(this.#withSystem(turns));
    if (ids.length <= limit) return { turns, ids };
    while (turns.length > 1 && ids.length > KEPT_SHARE * limit) {
      turns = turns.slice(2);
      ids = this.#model.encodeChat(this.#withSystem(turns));
    }
    return { turns, ids };
  }

  #withSystem(turns: readonly Message[]): Message[] {
    return this.#system === null ? [...turns] : [{ role: "system", content: this.#system }, ...turns];
  }
}
