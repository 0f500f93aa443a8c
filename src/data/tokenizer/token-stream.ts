/**
 * @file Decodes a stream of token ids; the emitted pieces, joined, equal the text of all ids decoded at once.
 *
 * A token may end in the middle of a UTF-8 character. That shows as one U+FFFD at the end of the decoded text, which is held
 * back until the next token settles it. Only the ids since the last settled point are decoded again; if no point is settled for
 * long, as in a run of broken bytes, only the last few of them.
 */

/** A decoder that takes one id at a time. */
export interface TokenStream {
  /** Takes an id and returns the text that it settles, possibly "". */
  push(id: number): string;
  /** Returns the text that is still held back; the stream can then be used for another text. */
  end(): string;
  /** Whether a U+FFFD is held back, which may become another character. */
  readonly isHolding: boolean;
}

const REPLACEMENT = "\uFFFD";
/** Maximum number of ids that wait for a settled point; beyond it, the older half is dropped. */
const MAX_PENDING = 32;
/** A character has at most four bytes; after as many, the text no longer depends on where decoding began. */
const CHARACTER_BYTES = 4;

interface TokenStreamOptions {
  /** The ids that the text continues. */
  readonly before: readonly number[];
  /** Whether `decode` always leaves an id out, like special tokens. */
  readonly isLeftOut: (id: number) => boolean;
}

function isWhole(text: string): boolean {
  return text !== "" && !text.includes(REPLACEMENT);
}

/**
 * Makes a stream from a function that decodes a list of ids. The context of the text is the last id of `before` that decodes to
 * whole characters, or all ids if each is a part of a character; an unfinished character at its end is not completed.
 */
export function createTokenStream(
  decode: (ids: readonly number[]) => string,
  { before: given, isLeftOut }: TokenStreamOptions,
): TokenStream {
  const before = given.filter((id) => !isLeftOut(id));
  const last = before.findLast((id) => isWhole(decode([id])));
  // `context` ids are settled; they are kept for decoders that treat the first token of a text differently.
  let context = last !== undefined ? [last] : decode(before).endsWith(REPLACEMENT) ? [] : before;
  let pending: number[] = [];
  let numEmitted = 0; // characters of the pending ids' text that have been emitted
  let isHolding = false;

  /** Drops ids whose text has been emitted, if the text of the others evidently does not depend on them. */
  const letGo = (text: string): void => {
    const kept = pending.slice(-MAX_PENDING / 2);
    const own = decode([...context, ...kept]).slice(decode(context).length);
    const numLess = text.length - own.length;
    if (numEmitted < numLess || !text.endsWith(own.slice(CHARACTER_BYTES))) return;
    pending = kept;
    numEmitted -= numLess;
  };

  const takeText = ({ isLast }: { readonly isLast: boolean }): string => {
    const text = decode([...context, ...pending]).slice(decode(context).length);
    isHolding = !isLast && text.endsWith(REPLACEMENT);
    const numSettled = isHolding ? text.length - 1 : text.length;
    const settled = text.slice(numEmitted, numSettled);
    if (numSettled === text.length && text !== "") {
      context = pending;
      pending = [];
      numEmitted = 0;
    } else {
      numEmitted = Math.max(numEmitted, numSettled);
      if (pending.length > MAX_PENDING) letGo(text);
    }
    return settled;
  };

  return {
    push(id) {
      if (isLeftOut(id)) return "";
      pending.push(id);
      return takeText({ isLast: false });
    },
    end() {
      const rest = takeText({ isLast: true });
      context = [];
      pending = [];
      numEmitted = 0;
      return rest;
    },
    get isHolding() {
      return isHolding;
    },
  };
}
