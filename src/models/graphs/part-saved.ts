/** @file The activations of a part that are worth saving for its backward program. */
import type { Value } from "../../graph/graph.ts";

/** Sizes that are known before a program runs: rows, tokens, and their products. */
const FIXED_SIZE = /^[BTNP0-9*+-]+$/;

/** Whether the size of a value is known before a program runs. */
export function hasFixedSize({ shape }: Value): boolean {
  return shape.every((size) => typeof size === "number" || FIXED_SIZE.test(size));
}

/** Names of the outputs of attention and of linear attention, [B, T, H·E]. */
export const ATTENDED = { attention: "attended", memory: "remembered" };

/** Whether a saved value has such a name. */
export function isAttended(name: string): boolean {
  return Object.values(ATTENDED).includes(name);
}

export class PartSaved {
  readonly values: Record<string, Value> = {};

  /** Notes a value if its size is known before a run; returns it. */
  save(name: string, value: Value): Value {
    if (hasFixedSize(value)) this.values[name] = value;
    return value;
  }
}
