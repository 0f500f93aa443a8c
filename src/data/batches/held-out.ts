/** @file A share of examples that is held out, drawn by the seed; what is the same example twice stays together. */
import { Random, STREAM } from "../../random.ts";
import { sequencesOf, type TrainingUnit } from "../examples/training-unit.ts";

/** Numbers of examples, ascending: none is in both, nor are two that are equal. */
interface HeldOutShare {
  readonly train: readonly number[];
  readonly heldOut: readonly number[];
}

/**
 * Draws examples of at least one and less than all kinds, about `share` of all and no more, unless the rarest kind is more
 * than that: one that is there very often would take the training data along. With a single kind none is held out.
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

/** Two 32-bit hashes (FNV-1a, with different starts) of what is read of a unit, and its length. */
function digest(unit: TrainingUnit): string {
  let [a, b, length] = [0x811c9dc5, 0x9747b28c, 0];
  for (const one of sequencesOf(unit)) {
    for (const value of "pixels" in one ? one.pixels : one.ids) {
      a = Math.imul(a ^ value, 0x01000193);
      b = Math.imul(b ^ value ^ (a >>> 15), 0x01000193);
      length++;
    }
    // Where one ends.
    a = Math.imul(a ^ 0xff, 0x01000193);
  }
  return `${a} ${b} ${length}`;
}
