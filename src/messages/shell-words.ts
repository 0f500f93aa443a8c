/** @file Words as a line that a shell reads as the same words. */

/** Joins words with blanks, quoted where a shell would read something else. */
export function shellWords(words: readonly string[]): string {
  return words.map(quote).join(" ");
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
