/** @file The activations of a part that are worth saving for its backward program. */
import type { Value } from "../../graph/graph.ts";

/** Sizes that are known before a program runs: rows, tokens, and their products. */
const FIXED_SIZE = /^[BTNP0-9*+-]+$/;

/** Whether the size of a value is known before a program runs. */
export function hasFixedSize({ shape }: Value): boolean {
  return shape.every((size) => typeof size === "number" || FIXED_SIZE.test(size));
}

/** Names of what attention gives, and of what is read of a memory. [B, T, H·E] */
export const ATTENDED = { attention: "attended", memory: "remembered" };

/** Whether a name among what is worth saving is such a one. */
export function isAttended(name: string): boolean {
  return Object.values(ATTENDED).includes(name);
}

export class PartSaved {
  readonly values: Record<string, Value> = {};

  /** Notes a value, unless its size is not known beforehand; returns it. */
  save(name: string, value: Value): Value {
    if (hasFixedSize(value)) this.values[name] = value;
    return value;
  }
}
