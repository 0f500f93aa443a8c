/**
 * @file Where each token of a text begins: the place of the character that its first byte is in, counted in code points.
 *
 * Tokens that share a character have one place. Bytes that are no character are one U+FFFD for each beginning of one, as in the
 * text. (vLLM adds up the lengths of tokens that are decoded alone, whose parts of characters are a U+FFFD each.)
 */
import type { TokenStream } from "../../data/tokenizer/token-stream.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";

const NO_BYTES = new Uint8Array(0);
const NO_IDS: ReadonlySet<number> = new Set();
/** A character has one byte more at most. */
const MAX_OPEN_BYTES = 3;

export class TextOffsets {
  readonly #tokenizer: Tokenizer;
  #hiddenIds: ReadonlySet<number>;
  #stream: TokenStream;
  #numSettled = 0;
  /** The beginning of a character that is not whole yet. */
  #open: Uint8Array = NO_BYTES;

  /** `shownIds`: special tokens that are part of the text that it begins with. */
  constructor(tokenizer: Tokenizer, shownIds: ReadonlySet<number> = NO_IDS) {
    this.#tokenizer = tokenizer;
    this.#hiddenIds = new Set([...tokenizer.specialTokens.values()].filter((id) => !shownIds.has(id)));
    this.#stream = tokenizer.stream({ skipSpecialTokens: true, shownIds });
  }

  /** Takes the next token, and returns where it begins. Special ones have no text unless they are shown. */
  push(id: number): number {
    const bytes = this.#hiddenIds.has(id) ? NO_BYTES : (this.#tokenizer.tokenBytes(id) ?? NO_BYTES);
    const isPart =
      this.#open.length > 0 && begun(Uint8Array.of(...this.#open, ...bytes.subarray(0, 1))) !== null;
    const place = this.#numSettled + Number(this.#stream.isHolding && !isPart);
    this.#numSettled += numCharacters(this.#stream.push(id));
    this.#open = openEnd(Uint8Array.of(...this.#open, ...bytes));
    return place;
  }

  /** Begins anew behind a text of `ids`, whose last bytes those of the next token do not complete. */
  startBehind(text: string, ids: readonly number[]): void {
    this.#hiddenIds = new Set(this.#tokenizer.specialTokens.values());
    this.#stream = this.#tokenizer.stream({ skipSpecialTokens: true, after: ids });
    this.#numSettled = numCharacters(text);
    this.#open = NO_BYTES;
  }
}

function numCharacters(text: string): number {
  let num = 0;
  for (const _ of text) num++;
  return num;
}

/** What is whole of bytes, of which the last character may lack some; null: they are no text. */
function begun(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
  } catch {
    return null;
  }
}

/** The bytes at an end that begin a character and lack some of it. */
function openEnd(bytes: Uint8Array): Uint8Array {
  for (let num = Math.min(MAX_OPEN_BYTES, bytes.length); num > 0; num--) {
    const end = bytes.subarray(bytes.length - num);
    if (begun(end) === "") return end;
  }
  return NO_BYTES;
}
