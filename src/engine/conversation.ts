/**
 * @file A conversation with a model: the messages so far, and answers to the next one.
 *
 * Every turn renders the whole conversation; the generator runs only what its cache does not hold yet. When the conversation is
 * longer than the model's positions, its oldest turns are dropped.
 */
import { z } from "zod";
import { checkArguments, objectWith, lazily } from "../messages/arguments.ts";
import type { Message } from "../data/rows/messages.ts";
import type { TextModel, TextRequest, WrittenText } from "./text-model.ts";

/** At most this share of the positions is kept free for an answer. */
const MAX_ANSWER_SHARE = 0.25;
/** Dropping turns leaves this share of the space for the prompt: otherwise the next question would drop some again. */
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

/** The model's answer to a question. */
export interface Answer extends WrittenText {
  /** Pairs of question and answer that were dropped to make room. */
  readonly numDroppedTurns: number;
}

/** A conversation with a model; the caller owns the model. */
export class Conversation {
  readonly #model: TextModel;
  #system: string | null;
  /** Questions and answers alternately. */
  #turns: readonly Message[] = [];
  #numResets = 0;
  /** Settles when all earlier questions are answered or have failed. */
  #lastAsked: Promise<unknown> = Promise.resolve();

  /** `system` null: no system message but what the template adds itself. */
  constructor(model: TextModel, system: string | null = null) {
    checkArguments("Conversation", PARTS, { model, system });
    this.#model = model;
    this.#system = system;
  }

  /** All messages so far, including the system message. */
  get messages(): readonly Message[] {
    return this.#withSystem(this.#turns);
  }

  /** Replaces the system message and keeps all others; null: removes it. */
  setSystem(system: string | null): void {
    checkArguments("setSystem", SYSTEM, { system });
    this.#system = system;
  }

  /** Forgets everything but the system message; questions still in progress are answered, but not remembered. */
  reset(): void {
    this.#numResets++;
    this.#turns = [];
  }

  /**
   * Answers a message, after those that were asked before it; `onText` receives each piece. An answer that was stopped stays in
   * the conversation as far as it went; a question that failed, or was stopped before the first word, does not.
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

  /** `numResets`: the number of resets before the question was asked. */
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

  /** Drops the oldest turns when the prompt and an answer together need more tokens than the model has positions. */
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
