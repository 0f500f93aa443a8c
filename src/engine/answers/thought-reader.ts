/**
 * @file Reads what a model thinks before it answers out of a text while it is written. White space beside the marks is no
 * part of either.
 */
import { overlap } from "./stop-strings.ts";

/** Marks between which models think. */
export type ThoughtMarks = readonly [open: string, close: string];

const MARKS: readonly ThoughtMarks[] = [
  ["<think>", "</think>"],
  ["[THINK]", "[/THINK]"],
];

/** The marks of a model that thinks, which its chat template writes or looks for; null: it has none. */
export function findThoughtMarks(template: string): ThoughtMarks | null {
  return MARKS.find(([, close]) => template.includes(close)) ?? null;
}

/** Text that certainly belongs to the thought or to the answer. */
interface ThoughtPart {
  readonly reasoning: string;
  readonly content: string;
}

export class ThoughtReader {
  readonly #marks: ThoughtMarks;
  /** The part that the next character belongs to. */
  #part: "start" | "thought" | "answer";
  /** Text that may yet turn out to be the beginning of a mark. */
  #held = "";
  /** Whether nothing but white space has come since the last mark. */
  #isBehindMark: boolean;

  /** `hasBegun`: the prompt ends with the first mark, so the text begins with a thought. */
  constructor(marks: ThoughtMarks, { hasBegun = false }: { readonly hasBegun?: boolean } = {}) {
    this.#marks = marks;
    this.#part = hasBegun ? "thought" : "start";
    this.#isBehindMark = hasBegun;
  }

  /** Whether a thought has begun, and its end has not come. */
  get isThinking(): boolean {
    return this.#part === "thought";
  }

  /** Takes the next piece. */
  push(text: string): ThoughtPart {
    this.#held += text;
    return this.#read({ isEnd: false });
  }

  /** Ends the text; a thought without an end is one all the same. */
  end(): ThoughtPart {
    return this.#read({ isEnd: true });
  }

  #read({ isEnd }: { readonly isEnd: boolean }): ThoughtPart {
    const [open, close] = this.#marks;
    if (this.#part === "start") {
      const text = this.#held.trimStart();
      if (text.startsWith(open)) this.#pass("thought", this.#held.length - text.length, open);
      else if (isEnd || !open.startsWith(text)) this.#part = "answer";
      else return { reasoning: "", content: "" };
    }
    if (this.#part === "answer") return { reasoning: "", content: this.#take(this.#held.length) };
    const place = this.#held.indexOf(close);
    const end = place >= 0 ? place : this.#held.length - (isEnd ? 0 : overlap(this.#held, close));
    const reasoning = this.#take(this.#held.slice(0, end).trimEnd().length);
    if (place < 0) return { reasoning, content: "" };
    this.#pass("answer", this.#held.indexOf(close), close);
    return { reasoning, content: this.#take(this.#held.length) };
  }

  /** Goes on behind a mark. */
  #pass(part: "thought" | "answer", place: number, mark: string): void {
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
