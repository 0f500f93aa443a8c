/**
 * @file Where each token of a text begins: the place of the character that contains its first byte, counted in code points.
 *
 * Tokens that share a character have the same place. Invalid bytes become one U+FFFD for each beginning of a character, as in the
 * text. (vLLM adds up the lengths of tokens that are decoded alone, where each part of a character is a U+FFFD.)
 */
import type { TokenStream } from "../../data/tokenizer/token-stream.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";

const NO_BYTES = new Uint8Array(0);
const NO_IDS: ReadonlySet<number> = new Set();
/** A character has at most one byte more. */
const MAX_OPEN_BYTES = 3;

export class TextOffsets {
  readonly #tokenizer: Tokenizer;
  #hiddenIds: ReadonlySet<number>;
  #stream: TokenStream;
  #numSettled = 0;
  /** The bytes of an incomplete character. */
  #open: Uint8Array = NO_BYTES;

  /** `shownIds`: special tokens that are part of the first text. */
  constructor(tokenizer: Tokenizer, shownIds: ReadonlySet<number> = NO_IDS) {
    this.#tokenizer = tokenizer;
    this.#hiddenIds = new Set([...tokenizer.specialTokens.values()].filter((id) => !shownIds.has(id)));
    this.#stream = tokenizer.stream({ skipSpecialTokens: true, shownIds });
  }

  /** Takes the next token, and returns where it begins. Special tokens have no text unless they are shown. */
  push(id: number): number {
    const bytes = this.#hiddenIds.has(id) ? NO_BYTES : (this.#tokenizer.tokenBytes(id) ?? NO_BYTES);
    const isPart =
      this.#open.length > 0 && begun(Uint8Array.of(...this.#open, ...bytes.subarray(0, 1))) !== null;
    const place = this.#numSettled + Number(this.#stream.isHolding && !isPart);
    this.#numSettled += numCharacters(this.#stream.push(id));
    this.#open = openEnd(Uint8Array.of(...this.#open, ...bytes));
    return place;
  }

  /** Starts again after a text of `ids`, whose last bytes the next token does not complete. */
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

/** Decodes the complete characters of bytes, of which the last may be incomplete; null: they are not valid. */
function begun(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
  } catch {
    return null;
  }
}

/** The trailing bytes that begin a character but do not complete it. */
function openEnd(bytes: Uint8Array): Uint8Array {
  for (let num = Math.min(MAX_OPEN_BYTES, bytes.length); num > 0; num--) {
    const end = bytes.subarray(bytes.length - num);
    if (begun(end) === "") return end;
  }
  return NO_BYTES;
}
