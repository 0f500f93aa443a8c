/** @file Words of command lines that benchmarks run. */

/** Lists each flag with its value; true: only the flag, undefined: nothing. */
export function flagWords(
  values: Readonly<Record<string, string | number | true | undefined>>,
): readonly string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return value === true ? [`--${name}`] : [`--${name}`, String(value)];
  });
}

/** Splits a text at blanks. */
export function wordsOf(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}
