/** @file Looking up a word of a file in a table, where the word may be "constructor" or worse. */

/** Finds the entry of a table; undefined for words that only the table's prototype knows. */
export function lookup<T>(table: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(table, word) ? table[word] : undefined;
}
