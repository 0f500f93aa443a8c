/** @file Products of lists, such as methods by families, of which the default tests take a sample; `npm run test:matrix` takes all. */

/** Whether all of them is taken. */
export const TAKES_ALL = process.env["GRAFT_MATRIX"] === "all";

/** All of a list, or those of the sample. */
export function sampled<T>(all: readonly T[], isInSample: (each: T, index: number) => boolean): readonly T[] {
  return TAKES_ALL ? all : all.filter(isInSample);
}

/** All of a list, or the one whose turn it is: with one index after another each comes round. */
export function inTurn<T>(all: readonly T[], index: number): readonly T[] {
  return sampled(all, (_, i) => i === index % all.length);
}
