/**
 * @file States of fixed size that a part keeps for all tokens of a text, with or without keys and values. A part reads a state as
 * earlier tokens left it, and outputs it as it is after the new ones.
 */
import type { Value } from "../../graph/graph.ts";

/** A state of one text. */
export interface StateOptions {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A state in a graph, [B, ...shape]. */
export interface PartState extends StateOptions {
  readonly past: Value;
  readonly next: Value;
}

/** Name of the input for a state before the new tokens. */
export const pastOf = ({ name }: Pick<StateOptions, "name">): string => `past_${name}`;
/** Name of the output for a state after the new tokens. */
export const nextOf = ({ name }: Pick<StateOptions, "name">): string => `new_${name}`;

/** States before the new tokens, by the names of the inputs. */
export function pastStates(states: readonly PartState[]): Record<string, Value> {
  return Object.fromEntries(states.map((state) => [pastOf(state), state.past]));
}

/** States after the new tokens, by the names of the outputs. */
export function nextStates(states: readonly PartState[]): Record<string, Value> {
  return Object.fromEntries(states.map((state) => [nextOf(state), state.next]));
}
