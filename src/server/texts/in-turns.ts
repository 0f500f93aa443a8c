/**
 * @file Reads parts of a request, such as texts or rows, one after another, and lets other work run in between: a body may
 * contain very many.
 */
import { breathing } from "../../data/files/breath.ts";

/** Reads values in order. @throws as `read`, and as the iterator */
export async function inTurns<T, R>(values: Iterable<T>, read: (value: T, index: number) => R): Promise<R[]> {
  return await breathing(readEach(values, read));
}

function* readEach<T, R>(
  values: Iterable<T>,
  read: (value: T, index: number) => R,
): Generator<void, R[], void> {
  const results: R[] = [];
  for (const value of values) {
    results.push(read(value, results.length));
    yield;
  }
  return results;
}
