/** @file Holds out a share of the examples, drawn by the seed; equal examples stay together. */
import { Random, STREAM } from "../../random.ts";
import { sequencesOf, type TrainingUnit } from "../examples/training-unit.ts";

/** Indexes of examples, ascending; no example of one list equals one of the other. */
interface HeldOutShare {
  readonly train: readonly number[];
  readonly heldOut: readonly number[];
}

/**
 * Draws some but not all of the distinct examples, about `share` of all examples and no more, unless even the rarest exceeds
 * that: a frequent one would take much of the training data along. With a single distinct example none is held out.
 */
export function drawHeldOut(units: readonly TrainingUnit[], share: number, seed: number): HeldOutShare {
  const alike = new Map<string, number[]>();
  for (const [i, unit] of units.entries()) {
    const key = digest(unit);
    const known = alike.get(key);
    if (known) known.push(i);
    else alike.set(key, [i]);
  }
  const groups = new Random(seed, STREAM.heldOut).shuffle([...alike.values()]);
  const wanted = Math.max(1, Math.round(units.length * share));
  const heldOut = new Set<number>();
  const hold = (group: readonly number[]): void => group.forEach((index) => heldOut.add(index));
  for (const group of groups.slice(0, -1)) if (heldOut.size + group.length <= wanted) hold(group);
  if (heldOut.size === 0 && groups.length > 1) hold(groups.toSorted((a, b) => a.length - b.length)[0]!);
  const all = units.map((_, i) => i);
  return { train: all.filter((i) => !heldOut.has(i)), heldOut: all.filter((i) => heldOut.has(i)) };
}

/** Two 32-bit hashes (FNV-1a, with different starts) of a unit's ids or pixels, and their number. */
function digest(unit: TrainingUnit): string {
  let [a, b, length] = [0x811c9dc5, 0x9747b28c, 0];
  for (const one of sequencesOf(unit)) {
    for (const value of "pixels" in one ? one.pixels : one.ids) {
      a = Math.imul(a ^ value, 0x01000193);
      b = Math.imul(b ^ value ^ (a >>> 15), 0x01000193);
      length++;
    }
    // Marks the end of a sequence.
    a = Math.imul(a ^ 0xff, 0x01000193);
  }
  return `${a} ${b} ${length}`;
}
