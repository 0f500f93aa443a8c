/** @file Looks up a word of a file in a table. The word may be a property that every object has, such as "constructor". */

/** Finds the entry of a table; undefined for words that only the table's prototype has. */
export function lookup<T>(table: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(table, word) ? table[word] : undefined;
}
