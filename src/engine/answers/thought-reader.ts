/**
 * @file Separates a model's thoughts from its answer while the text is written. White space next to the marks belongs to neither.
 */
import { overlap } from "./stop-strings.ts";
import type { ThoughtForm } from "./thought-forms.ts";

/** Text that certainly belongs to the thought or to the answer. */
interface ThoughtPart {
  readonly reasoning: string;
  readonly content: string;
}

export class ThoughtReader {
  readonly #form: ThoughtForm;
  /** What the next character belongs to; "between": not known yet, since a thought, a part of the answer or a mark may follow. */
  #part: "between" | "thought" | "answer";
  /** Text that may yet turn out to be the beginning of a mark. */
  #held = "";
  /** Whether only white space has come since the last mark. */
  #isBehindMark: boolean;

  /** `hasBegun`: the prompt ends with the first mark, so the text begins with a thought. */
  constructor(form: ThoughtForm, { hasBegun = false }: { readonly hasBegun?: boolean } = {}) {
    this.#form = form;
    this.#part = hasBegun ? "thought" : "between";
    this.#isBehindMark = hasBegun;
  }

  /** Whether a thought has begun and not ended. */
  get isThinking(): boolean {
    return this.#part === "thought";
  }

  /** Takes the next piece. */
  push(text: string): ThoughtPart {
    this.#held += text;
    return this.#read({ isEnd: false });
  }

  /** Ends the text; a thought without an end mark still counts as one. */
  end(): ThoughtPart {
    return this.#read({ isEnd: true });
  }

  #read({ isEnd }: { readonly isEnd: boolean }): ThoughtPart {
    const { close, partEnd } = this.#form;
    let [reasoning, content] = ["", ""];
    while (this.#part !== "between" || this.#begin(isEnd)) {
      const isThought = this.isThinking;
      const mark = isThought ? close : partEnd;
      const place = mark === null ? -1 : this.#held.indexOf(mark);
      const open = isEnd || mark === null ? 0 : overlap(this.#held, mark);
      const end = place >= 0 ? place : this.#held.length - open;
      if (isThought) reasoning += this.#take(this.#held.slice(0, end).trimEnd().length);
      else content += this.#take(end);
      if (mark === null || place < 0) break;
      this.#pass(partEnd === null ? "answer" : "between", this.#held.indexOf(mark), mark);
    }
    return { reasoning, content };
  }

  /** Begins a thought or a part of the answer; false: it is not yet certain which. */
  #begin(isEnd: boolean): boolean {
    const { opens, heads } = this.#form;
    const text = this.#held.trimStart();
    const marks = [...opens, ...heads];
    const mark = marks.find((each) => text.startsWith(each));
    if (mark !== undefined) {
      this.#pass(opens.includes(mark) ? "thought" : "answer", this.#held.length - text.length, mark);
    } else if (!marks.some((each) => each.startsWith(text))) this.#part = "answer";
    else if (isEnd) {
      // After a mark, an incomplete mark at the end of the text is dropped.
      if (this.#isBehindMark) this.#held = "";
      this.#part = "answer";
    }
    return this.#part !== "between";
  }

  /** Continues after a mark. */
  #pass(part: "between" | "thought" | "answer", place: number, mark: string): void {
    this.#part = part;
    this.#held = this.#held.slice(place + mark.length);
    this.#isBehindMark = true;
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    const text = this.#isBehindMark ? taken.trimStart() : taken;
    this.#held = this.#held.slice(length);
    if (text !== "") this.#isBehindMark = false;
    return text;
  }
}
