/**
 * @file Texts that are free until they begin something, such as a call of a function, and follow a grammar from there to its end.
 */
import type { ThoughtReader } from "../answers/thought-reader.ts";
import type { GrammarCursor, Grammar, TokenGrammar } from "./token-grammar.ts";

interface Trigger {
  /** Byte texts that mark the beginning, one character per byte. */
  readonly begins: readonly string[];
  /** Whether the beginning can only be at the start of a text. */
  readonly isWhole: boolean;
  /** Whether the text may continue after the end. */
  readonly mayGoOn: boolean;
  /** Makes a reader of thoughts, in byte texts; nothing begins inside a thought. Absent: there are no thoughts. */
  readonly newThoughts?: () => ThoughtReader;
}

export class TriggeredGrammar implements Grammar {
  readonly #inner: TokenGrammar;
  readonly #trigger: Trigger;

  /** `inner` covers what begins, with or without the mark of the beginning. */
  constructor(inner: TokenGrammar, trigger: Trigger) {
    this.#inner = inner;
    this.#trigger = trigger;
  }

  /** Returns the same grammar for texts that may begin with a thought. */
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
  /** null: the text is free. */
  #held: GrammarCursor | null = null;
  /** The text since it became free, as far back as a beginning may reach. */
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

  /** Whether an id belongs to a thought or to its marks. */
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
      // What has been written differently from the grammar stays as it is.
      this.#held = this.#inner.beginAfter(from) ?? this.#inner.beginAfter(from.slice(begin.length));
      this.#text = this.#text.slice(place + begin.length);
      return;
    }
    const reach = Math.max(...begins.map(({ length }) => length));
    if (!isWhole) this.#text = this.#text.slice(-reach);
    else if (this.#text.trim().length > reach) this.#isFree = true;
  }
}
