/** @file Runs the sides of a comparison in turn, A B A B, so that a machine that heats up or slows down affects all of them equally. */
import type { BenchContext } from "../bench.ts";

type Sides = Readonly<Record<string, (round: number) => Promise<unknown>>>;

/** Results of each side, one a round. */
type Rounds<S extends Sides> = { readonly [K in keyof S]: Awaited<ReturnType<S[K]>>[] };

/** Runs every side once a round, never two at a time, and returns each side's result of each round. */
export async function interleave<S extends Sides>(
  numRounds: number,
  sides: S,
  { say }: Pick<BenchContext, "say">,
): Promise<Rounds<S>> {
  const names: (keyof S & string)[] = Object.keys(sides);
  const results: Partial<Record<keyof S, unknown[]>> = {};
  for (let round = 0; round < numRounds; round++) {
    for (const name of names) {
      say(`round ${round + 1} of ${numRounds}: ${name}`);
      (results[name] ??= []).push(await sides[name]?.(round));
    }
  }
  return results as Rounds<S>;
}
