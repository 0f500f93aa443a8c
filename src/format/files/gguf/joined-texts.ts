/**
 * @file Many short texts out of one stretch of bytes. They are decoded together and then cut apart, in a tenth of the time that
 * decoding each would take.
 */

/** Where texts begin and end. */
export interface Stretches {
  readonly starts: Float64Array;
  readonly ends: Float64Array;
}

/** Decodes texts of UTF-8; what is none becomes U+FFFD. */
export function joinedTexts(bytes: Uint8Array, { starts, ends }: Stretches): string[] {
  const numBytes = starts.reduce((sum, start, i) => sum + ends[i]! - start, 0);
  const joined = new Uint8Array(numBytes);
  /** Where each text ends in the decoded whole, in UTF-16 units: one a character, two for one of four bytes. */
  const cuts = new Float64Array(starts.length);
  let [at, units] = [0, 0];
  let canCut = true;
  for (let i = 0; i < starts.length; i++) {
    const end = ends[i]!;
    // Joined, two halves of a character would become a character.
    if (starts[i]! < end && isInside(bytes[starts[i]!]!)) canCut = false;
    for (let from = starts[i]!; from < end; from++) {
      const byte = bytes[from]!;
      joined[at++] = byte;
      if (!isInside(byte)) units += byte >= 0xf0 ? 2 : 1;
    }
    cuts[i] = units;
  }
  const whole = canCut ? decodeExactly(joined) : null;
  if (whole !== null) return Array.from(cuts, (cut, i) => whole.slice(i === 0 ? 0 : cuts[i - 1], cut));
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return Array.from(starts, (start, i) => decoder.decode(bytes.subarray(start, ends[i])));
}

/** Whether a byte goes on with a character. */
function isInside(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** The text; null: the bytes are no UTF-8. */
function decodeExactly(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
