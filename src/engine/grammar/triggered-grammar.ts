/**
 * @file Texts that are free until they begin something, such as a call of a function, and are held to a grammar from there
 * to its end.
 */
import type { ThoughtReader } from "../answers/thought-reader.ts";
import type { GrammarCursor, Grammar, TokenGrammar } from "./token-grammar.ts";

interface Trigger {
  /** Byte texts that show the beginning, one character each. */
  readonly begins: readonly string[];
  /** Whether there is a beginning at the start of a text alone. */
  readonly isWhole: boolean;
  /** Whether the text may go on behind the end. */
  readonly mayGoOn: boolean;
  /** Reads thoughts, in byte texts, in which nothing begins; unless given there are none. */
  readonly newThoughts?: () => ThoughtReader;
}

export class TriggeredGrammar implements Grammar {
  readonly #inner: TokenGrammar;
  readonly #trigger: Trigger;

  /** `inner` holds what begins, from its first byte on or behind it. */
  constructor(inner: TokenGrammar, trigger: Trigger) {
    this.#inner = inner;
    this.#trigger = trigger;
  }

  /** The same for texts that may begin with a thought. */
  behind(newThoughts: () => ThoughtReader): TriggeredGrammar {
    return new TriggeredGrammar(this.#inner, { ...this.#trigger, newThoughts });
  }

  begin(): GrammarCursor {
    return new TriggeredCursor(this.#inner, this.#trigger);
  }
}

class TriggeredCursor implements GrammarCursor {
  readonly #inner: TokenGrammar;
  readonly #trigger: Trigger;
  readonly #thoughts: ThoughtReader | null;
  /** Null: the text is free. */
  #held: GrammarCursor | null = null;
  /** What has been written since it was free, as far as a beginning may reach back. */
  #text = "";
  /** Whether nothing can begin any more. */
  #isFree = false;
  isDone = false;

  constructor(inner: TokenGrammar, trigger: Trigger) {
    this.#inner = inner;
    this.#trigger = trigger;
    this.#thoughts = trigger.newThoughts?.() ?? null;
  }

  restrict(logits: Float32Array, stopIds: readonly number[]): void {
    this.#held?.restrict(logits, stopIds);
  }

  accept(id: number): void {
    if (this.#held) this.#held.accept(id);
    else if (!this.#isFree && !this.#isThought(id)) this.#read(this.#inner.bytesOf(id));
    if (!this.#held?.isDone) return;
    this.#held = null;
    this.#text = "";
    this.isDone = !this.#trigger.mayGoOn;
  }

  /** Whether an id is one of a thought, or of its marks. */
  #isThought(id: number): boolean {
    const thoughts = this.#thoughts;
    if (!thoughts) return false;
    const wasThinking = thoughts.isThinking;
    thoughts.push(this.#inner.bytesOf(id));
    return wasThinking || thoughts.isThinking;
  }

  #read(bytes: string): void {
    const { begins, isWhole } = this.#trigger;
    this.#text += bytes;
    for (const begin of begins) {
      const place = this.#text.indexOf(begin);
      if (place < 0 || (isWhole && this.#text.slice(0, place).trim() !== "")) continue;
      const from = this.#text.slice(place);
      // What has been written otherwise than the grammar would have it stays as it is.
      this.#held = this.#inner.beginAfter(from) ?? this.#inner.beginAfter(from.slice(begin.length));
      this.#text = this.#text.slice(place + begin.length);
      return;
    }
    const reach = Math.max(...begins.map(({ length }) => length));
    if (!isWhole) this.#text = this.#text.slice(-reach);
    else if (this.#text.trim().length > reach) this.#isFree = true;
  }
}
