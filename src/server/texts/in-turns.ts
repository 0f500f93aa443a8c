/** @file Texts of a request, read one after another: a list may be as long as a body, and others have their turn in between. */
import { breathing } from "../../data/files/breath.ts";

/** Reads the values of a list. @throws as `read` */
export async function inTurns<T, R>(list: readonly T[], read: (value: T, index: number) => R): Promise<R[]> {
  return await breathing(readEach(list, read));
}

function* readEach<T, R>(
  list: readonly T[],
  read: (value: T, index: number) => R,
): Generator<void, R[], void> {
  const results: R[] = [];
  for (const [index, value] of list.entries()) {
    results.push(read(value, index));
    yield;
  }
  return results;
}
