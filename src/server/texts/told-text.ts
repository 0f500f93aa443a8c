/**
 * @file One text of /v1/completions in the form in which it is sent. On request it starts with the prompt, and includes the
 * log-probabilities of both.
 */
import { PromptScores } from "../../engine/prompts/prompt-scores.ts";
import type { TextPiece } from "../../engine/serving-model.ts";
import { ListedLogProbs } from "./log-probs.ts";
import type { ServerState } from "../server-state.ts";
import type { CompletionRequest } from "../wire.ts";

export interface Prompt {
  readonly ids: readonly number[];
  readonly text: string;
  /** Special tokens that are part of its text. */
  readonly shownIds?: ReadonlySet<number>;
  /** The key of the request that contains it. */
  readonly param: string;
}

export class ToldText {
  readonly #prompt: Prompt;
  readonly #logProbs: ListedLogProbs | null;
  readonly #scores: PromptScores | null;
  #text = "";
  /** Whether the prompt must still be sent. */
  #isEchoDue: boolean;

  constructor(
    { echo, logprobs }: Pick<CompletionRequest, "echo" | "logprobs">,
    prompt: Prompt,
    { model }: ServerState,
  ) {
    this.#prompt = prompt;
    this.#isEchoDue = echo === true;
    const shownIds = this.#isEchoDue ? prompt.shownIds : undefined;
    this.#logProbs = logprobs == null ? null : new ListedLogProbs(model.parts.tokenizer, shownIds);
    if (!this.#isEchoDue) this.#logProbs?.startBehind("", prompt.ids);
    this.#scores = this.#isEchoDue && logprobs != null ? new PromptScores(prompt.ids.length, logprobs) : null;
  }

  /** The reader of the prompt, if one is needed. */
  get reading(): { readonly reader?: PromptScores } {
    return this.#scores ? { reader: this.#scores } : {};
  }

  /** Adds the next piece; the prompt has run by then. */
  add({ text, token, told }: TextPiece): void {
    this.#echo();
    this.#text += text;
    // Clients that score texts take the last token of the lists for the new one, even if it ends the text.
    if (token) this.#logProbs?.add(token.id, token.logProbs);
    if (told) this.#logProbs?.add(told.id, null);
  }

  /** Whether there is text to send; log-probabilities of held back tokens are sent with their text. */
  get hasText(): boolean {
    return this.#text !== "";
  }

  /** Returns what was added since the last call. */
  take(): { readonly text: string; readonly logprobs: object | null } {
    this.#echo();
    const text = this.#text;
    this.#text = "";
    return { text, logprobs: this.#logProbs?.take() ?? null };
  }

  #echo(): void {
    if (!this.#isEchoDue) return;
    this.#isEchoDue = false;
    this.#text = this.#prompt.text;
    for (const [i, id] of this.#prompt.ids.entries())
      this.#logProbs?.add(id, this.#scores?.scores[i] ?? null);
    this.#logProbs?.startBehind(this.#prompt.text, this.#prompt.ids);
  }
}
