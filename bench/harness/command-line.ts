/** @file Words of command lines that benchmarks run. */

/** Puts each value behind its flag; true: the flag alone, undefined: none. */
export function flagWords(
  values: Readonly<Record<string, string | number | true | undefined>>,
): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return value === true ? [`--${name}`] : [`--${name}`, String(value)];
  });
}

/** The words of a text with blanks between them. */
export function wordsOf(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}
