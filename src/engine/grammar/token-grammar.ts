/** @file A grammar over the tokens of a vocabulary. It tells which ids may come next, and caches that for each state of a text. */
import { UsageError } from "../../errors.ts";
import { Automaton, type Place, RuleBook, type State } from "./rules/automaton.ts";
import { SchemaError } from "./schema/schema-keywords.ts";
import type { Vocabulary } from "./vocabulary.ts";

const MAX_MASKS = 512;

/** Tracks how one text may continue. */
export interface GrammarCursor {
  /** Whether the text is complete and nothing can follow. */
  readonly isDone: boolean;
  /** Forbids ids that cannot follow: their logits [V] become -Infinity. @throws UsageError "engine/grammar" when none can */
  restrict(logits: Float32Array, stopIds: readonly number[]): void;
  /** Continues with an id that was allowed. */
  accept(id: number): void;
}

/** A form that texts can be held to. */
export interface Grammar {
  begin(): GrammarCursor;
}

export class TokenGrammar implements Grammar {
  readonly #vocabulary: Vocabulary;
  readonly #automaton: Automaton;
  readonly #start: State;
  readonly #masks = new Map<string, Uint32Array>();

  /** `build` adds the rule of whole texts. @throws UsageError "usage/grammar" for a rule that no text can satisfy */
  constructor(vocabulary: Vocabulary, build: (book: RuleBook) => Place) {
    const book = new RuleBook();
    this.#vocabulary = vocabulary;
    this.#automaton = new Automaton(book, build(book));
    const { start } = this.#automaton;
    if (!start) throw new SchemaError("", "cannot be satisfied", "Remove the contradiction.");
    this.#start = start;
  }

  begin(): GrammarCursor {
    return new Cursor(this, this.#start);
  }

  /** Begins a text that already has some bytes, one character each; null: no text begins with them. */
  beginAfter(bytes: string): GrammarCursor | null {
    this.#automaton.beginToken();
    const state = this.#automaton.follow(this.#start, bytes);
    return state && new Cursor(this, state);
  }

  bytesOf(id: number): string {
    return this.#vocabulary.bytesOf(id);
  }

  /** A bit mask of the ids that may follow. */
  maskOf(state: State): Uint32Array {
    const view = this.#automaton.viewOf(state);
    const known = this.#masks.get(view);
    if (known) return known;
    this.#automaton.beginToken();
    const mask = this.#vocabulary.allowed(this.#automaton, state);
    if (this.#masks.size >= MAX_MASKS) this.#masks.clear();
    this.#masks.set(view, mask);
    return mask;
  }

  /** The state after an id; null: it may not follow. */
  follow(state: State, id: number): State | null {
    this.#automaton.beginToken();
    return this.#vocabulary.follow(this.#automaton, state, id);
  }
}

class Cursor implements GrammarCursor {
  readonly #grammar: TokenGrammar;
  #state: State;

  constructor(grammar: TokenGrammar, start: State) {
    this.#grammar = grammar;
    this.#state = start;
  }

  get isDone(): boolean {
    return this.#state.isEnd && this.#state.configs.length === 0;
  }

  restrict(logits: Float32Array, stopIds: readonly number[]): void {
    const state = this.#state;
    const mask = this.#grammar.maskOf(state);
    const stops = new Map(
      (state.isEnd ? stopIds : []).filter((id) => id < logits.length).map((id) => [id, logits[id]!]),
    );
    let isOpen = stops.size > 0;
    for (let id = 0; id < logits.length; id++) {
      const isAllowed = ((mask[id >> 5] ?? 0) >>> (id & 31)) & 1;
      if (isAllowed === 1) isOpen = true;
      else logits[id] = -Infinity;
    }
    for (const [id, logit] of stops) logits[id] = logit;
    if (isOpen) return;
    throw new UsageError("engine/grammar", "Cannot continue a text: no token of the model fits its grammar", {
      hint: "Use only characters that the vocabulary can produce.",
    });
  }

  accept(id: number): void {
    const next = this.#grammar.follow(this.#state, id);
    // Stop ids end a text; nothing is asked for after them.
    if (next) this.#state = next;
  }
}
