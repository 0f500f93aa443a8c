/** @file Writes words as a line that a shell splits into the same words. */

/** Joins words with blanks, quoted where a shell would read them differently. */
export function shellWords(words: readonly string[]): string {
  return words.map(quote).join(" ");
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
