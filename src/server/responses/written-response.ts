/**
 * @file An answer of the Responses API while it is written: the events that clients receive, and the complete answer at the end.
 */
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import { Sha256 } from "../../sha256.ts";
import type { ErrorBody } from "../api-error.ts";
import type { ResumedRequest } from "../running-requests.ts";
import type { ServerState } from "../server-state.ts";
import type { ChatAnswer } from "../texts/chat-answer.ts";
import { chatLogProbs } from "../texts/log-probs.ts";
import type { NumberedPiece } from "../texts/write-texts.ts";
import { askedOf } from "./asked.ts";
import { type ResponseEvent, ResponseOutput } from "./response-output.ts";
import type { ResponseRequest } from "./response-request.ts";

/** Most characters of the id of an item. */
const ID_LENGTH = 32;

/** An event with its number in the stream. */
type NumberedEvent = ResponseEvent & { readonly sequence_number: number };

/** What identifies an answer, here and in another server that continues it. */
interface ResponseHead {
  readonly id: string;
  readonly created: number;
  /** Makes ids of items and calls: the same sequence in every server that writes the answer. */
  readonly newId: () => string;
}

/** The head of a new answer, or of one that another server has begun. */
export function headOf(resumed: ResumedRequest | undefined, state: ServerState): ResponseHead {
  const { id = `resp_${state.newId()}`, created = state.seconds() } = resumed ?? {};
  let numIds = 0;
  return { id, created, newId: () => new Sha256().update(`${id} ${numIds++}`).digest().slice(0, ID_LENGTH) };
}

export class WrittenResponse {
  readonly #state: ServerState;
  readonly #answer: ChatAnswer;
  readonly #output: ResponseOutput;
  readonly #asked: object;
  readonly #head: { readonly id: string; readonly created_at: number };
  #numEvents = 0;
  #numThoughtTokens = 0;
  /** Log-probabilities of tokens whose text has not been sent yet. */
  #logProbs: object[] = [];

  /** `newId`: makes the ids of its items. */
  constructor(
    body: ResponseRequest,
    answer: ChatAnswer,
    { id, created, newId }: ResponseHead,
    state: ServerState,
  ) {
    this.#state = state;
    this.#answer = answer;
    this.#output = new ResponseOutput(newId);
    this.#asked = askedOf(body);
    this.#head = { id, created_at: created };
  }

  /** The events before the text. */
  begin(): NumberedEvent[] {
    const response = this.#describe({ status: "in_progress" });
    return this.#number(["response.created", "response.in_progress"].map((type) => ({ type, response })));
  }

  push({ text, token, told }: NumberedPiece): NumberedEvent[] {
    const wasThinking = this.#answer.isThinking;
    const delta = this.#answer.push(text);
    const isThought = wasThinking || this.#answer.isThinking;
    const written = token?.isStop ? null : (token ?? told);
    if (isThought && written) this.#numThoughtTokens++;
    const scored = chatLogProbs(this.#state.model.parts.tokenizer, written);
    if (scored && !isThought) this.#logProbs.push(scored);
    return delta ? this.#number(this.#output.add(delta, this.#takeLogProbs(delta))) : [];
  }

  /** Takes the end of the text; also returns the complete answer. */
  end(end: ServeEnd): { readonly events: NumberedEvent[]; readonly response: object } {
    const last = this.#answer.end();
    const events = last ? this.#output.add(last, this.#takeLogProbs(last)) : [];
    const status = end.finishReason === "stop" ? "completed" : "incomplete";
    events.push(...this.#output.end(status, this.#logProbs));
    const response = this.#whole(end);
    events.push({ type: `response.${status}`, response });
    return { events: this.#number(events), response };
  }

  /** The end of an answer that continues in another server, which sends held back text and the ends of items. */
  leave(): NumberedEvent[] {
    const incomplete_details = { reason: "abort" };
    return this.#number([
      { type: "response.incomplete", response: this.#describe({ status: "incomplete", incomplete_details }) },
    ]);
  }

  /** Reports an error as the end of the answer, and as a separate event for clients that look only for errors. */
  fail({ error: { message, code, param } }: ErrorBody): NumberedEvent[] {
    const response = this.#describe({ status: "failed", error: { code: "server_error", message } });
    return this.#number([
      { type: "response.failed", response },
      { type: "error", message, code, param },
    ]);
  }

  /** Log-probabilities of the new text; those of thoughts and calls are dropped. */
  #takeLogProbs({
    content,
    tool_calls: calls,
  }: {
    content?: string;
    tool_calls?: readonly object[];
  }): object[] {
    const taken = content === undefined ? [] : this.#logProbs;
    if (content !== undefined || calls !== undefined) this.#logProbs = [];
    return taken;
  }

  #whole({ finishReason, ...end }: ServeEnd): object {
    const ended =
      finishReason === "stop"
        ? { status: "completed", completed_at: this.#state.seconds() }
        : { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
    return this.#describe({
      ...ended,
      usage: {
        input_tokens: end.numPromptTokens,
        input_tokens_details: { cached_tokens: end.numCachedTokens, cache_write_tokens: 0 },
        output_tokens: end.numNewTokens,
        output_tokens_details: { reasoning_tokens: this.#numThoughtTokens },
        total_tokens: end.numPromptTokens + end.numNewTokens,
      },
    });
  }

  #describe(now: { readonly status: string; readonly [key: string]: unknown }): object {
    return {
      ...this.#head,
      object: "response",
      completed_at: null,
      error: null,
      incomplete_details: null,
      usage: null,
      ...now,
      output: [...this.#output.items],
      ...this.#asked,
    };
  }

  #number(events: readonly ResponseEvent[]): NumberedEvent[] {
    return events.map((event) => ({ ...event, sequence_number: this.#numEvents++ }));
  }
}
