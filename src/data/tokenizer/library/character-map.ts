/**
 * @file The character maps of files converted from SentencePiece (`Precompiled`), read directly: which characters are spaces,
 * or left out, depends on the version that made them.
 *
 * A map is the size of a trie in bytes, the trie, and texts that end with 0. The trie is a double array (Darts-clone): the
 * bytes of a key lead from place to place, and a leaf gives the start of its text. As in the original library, a cluster of
 * characters of less than six bytes is first looked up as a whole, and the shortest key that begins it is used.
 */

/** Maximum bytes of a cluster that is looked up as a whole; maximum length of the text of a key. */
const [MAX_CLUSTER_BYTES, MAX_TEXT_LENGTH] = [5, 64];

/** A step of a tokenizer, or a list of them, as far as it is used. */
interface NormalizingStep {
  readonly charsmap?: unknown;
  readonly normalizers?: readonly (NormalizingStep | null)[];
  normalize?(text: string): string;
}

/** Makes all steps with a character map use it. @throws Error for a damaged map */
export function useCharacterMaps(step: NormalizingStep | null): void {
  for (const part of step?.normalizers ?? []) useCharacterMaps(part);
  if (typeof step?.charsmap === "string" && step.charsmap !== "") step.normalize = readMap(step.charsmap);
}

function readMap(base64: string): (text: string) => string {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const trieBytes = bytes.length < 4 ? 0 : new DataView(bytes.buffer).getUint32(0, true);
  if (trieBytes === 0 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length)
    throw new Error(
      `precompiled_charsmap of ${bytes.length} bytes begins with ${trieBytes}, expected the size of a trie within`,
    );
  const view = new DataView(bytes.buffer, 4, trieBytes);
  const trie = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 * i, true));
  const find = lookUp(trie, bytes.subarray(4 + trieBytes));
  const clusters = new Intl.Segmenter(undefined, { granularity: "grapheme" });
  const encoder = new TextEncoder();
  const mapCluster = (cluster: string): string => {
    const key = encoder.encode(cluster);
    const whole = key.length <= MAX_CLUSTER_BYTES ? find(key) : null;
    return whole ?? Array.from(cluster, (one) => find(encoder.encode(one)) ?? one).join("");
  };
  const mapAll = (text: string): string =>
    Array.from(clusters.segment(text), ({ segment }) => mapCluster(segment)).join("");
  const printable = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i));
  if (mapAll(printable) !== printable) return mapAll;
  // Of printable ASCII, only a character directly before another one can be in a cluster with it.
  return (text) => text.replace(/[\x20-\x7e]?[^\x20-\x7e]+/g, mapAll);
}

/** Returns a function that finds the text for the shortest key that begins its argument; null: no such key is in the map. */
function lookUp(trie: Uint32Array, texts: Uint8Array): (key: Uint8Array) => string | null {
  const decoder = new TextDecoder();
  const offset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
  return (key) => {
    let place = offset(trie[0]!);
    for (const byte of key) {
      if (byte === 0) return null;
      place ^= byte;
      const unit = trie[place];
      // The highest bit marks leaves; a place beyond the end means a damaged file.
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return null;
      place ^= offset(unit);
      if ((unit & 0x100) === 0) continue;
      const start = (trie[place] ?? 0) & 0x7fffffff;
      const end = texts.indexOf(0, start);
      const text = decoder.decode(texts.subarray(start, end < 0 ? texts.length : end));
      if (text.length > MAX_TEXT_LENGTH)
        throw new Error(
          `precompiled_charsmap makes ${text.length} characters of one, expected at most ${MAX_TEXT_LENGTH}`,
        );
      return text;
    }
    return null;
  };
}
