/**
 * @file Decodes a stream of token ids; what it emits, joined, is what decoding all ids at once gives.
 *
 * A token may end in the middle of a UTF-8 character; that shows as one U+FFFD at the end of the decoded text, which is
 * held back until the next token settles it. Only ids since the last settled point are decoded again, and where nothing settles
 * for long, as in a run of broken bytes, the last few of them.
 */

/** A decoder that takes one id at a time. */
export interface TokenStream {
  /** Takes an id and returns the text that is settled by it, possibly "". */
  push(id: number): string;
  /** Returns what is still held back; the stream can then be used for another text. */
  end(): string;
  /** Whether a U+FFFD is held back, which may become another character. */
  readonly isHolding: boolean;
}

const REPLACEMENT = "\uFFFD";
/** Ids that wait for a settled point at most; of more the older half is let go of. */
const MAX_PENDING = 32;
/** A character has at most four bytes: behind so many, text is the same wherever decoding began. */
const CHARACTER_BYTES = 4;

interface TokenStreamOptions {
  /** What the text goes on from. */
  readonly before: readonly number[];
  /** Whether `decode` passes over an id wherever it stands, as over special tokens. */
  readonly isLeftOut: (id: number) => boolean;
}

function isWhole(text: string): boolean {
  return text !== "" && !text.includes(REPLACEMENT);
}

/**
 * Makes a stream from a function that decodes a list of ids. The last id of `before` with text of its own says what the text goes
 * on from, or all of them where each is a part of a character; bytes at its end that begin one are not completed.
 */
export function createTokenStream(
  decode: (ids: readonly number[]) => string,
  { before: given, isLeftOut }: TokenStreamOptions,
): TokenStream {
  const before = given.filter((id) => !isLeftOut(id));
  const last = before.findLast((id) => isWhole(decode([id])));
  // `context` ids are settled and stay for decoders that treat the first token of a text in a special way.
  let context = last !== undefined ? [last] : decode(before).endsWith(REPLACEMENT) ? [] : before;
  let pending: number[] = [];
  let numEmitted = 0; // characters of the pending ids' text that have been emitted
  let isHolding = false;

  /** Lets go of ids whose text has been emitted, where what the others stand for shows that it does not depend on them. */
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
