/** @file Parts of a request, such as texts or rows, read one after another: they may be as many as a body holds, and others have their turn in between. */
import { breathing } from "../../data/files/breath.ts";

/** Reads values. @throws as `read`, and as they come */
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
