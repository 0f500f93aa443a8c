/** @file A map of characters as files of tokenizers have them, for one character of ASCII. */

/** What one character becomes, as the text of `precompiled_charsmap`. */
export function tinyCharacterMap(character: string, text: string): string {
  const trie = new Uint32Array(256);
  // The root leads to 1 ^ code, which has the code as its label and leads to its leaf at `code`.
  const code = character.charCodeAt(0);
  trie[0] = 1 << 10;
  trie[1 ^ code] = (1 << 10) | 0x100 | code;
  trie[code] = 0x80000000;
  const size = new Uint8Array(Uint32Array.of(trie.byteLength).buffer);
  return Buffer.concat([size, new Uint8Array(trie.buffer), Buffer.from(`${text}\0`)]).toString("base64");
}
