/**
 * @file Writes values by module as patterns of an adapter file: a common value, and exceptions by names that never overlap, since
 * PEFT sorts the keys of a pattern when saving and then uses the first match.
 */
import { lastName } from "../../models/module-path.ts";

/** A common value and the exceptions from it. */
interface Patterns<T> {
  readonly common: T;
  /** Exceptions: by short name where all modules of that name agree, else by full path. */
  readonly others: Readonly<Record<string, T>>;
}

/** Writes values by module path as patterns; the common value is the most frequent one, or `common`. */
export function toPatterns<T extends number | boolean>(
  values: ReadonlyMap<string, T>,
  common: T = mostFrequent([...values.values()]),
): Patterns<T> {
  const byName = new Map<string, T[]>();
  for (const [path, value] of values) {
    const name = lastName(path);
    byName.set(name, [...(byName.get(name) ?? []), value]);
  }
  const others: Record<string, T> = {};
  for (const [path, value] of values) {
    if (value === common) continue;
    const name = lastName(path);
    const agree = byName.get(name)?.every((other) => other === value) ?? false;
    others[agree ? name : path] = value;
  }
  return { common, others };
}

function mostFrequent<T>(values: readonly T[]): T {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const [[best] = [values[0] as T]] = [...counts].sort((a, b) => b[1] - a[1]);
  return best;
}
