/**
 * @file What a part keeps of all tokens of a text as a state of one size, beside keys and values or without: it is read as it was
 * after the tokens before, and given as it is after the new ones.
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

/** Name of the input that has a state as it was. */
export const pastOf = ({ name }: Pick<StateOptions, "name">): string => `past_${name}`;
/** Name of the output for what it has become. */
export const nextOf = ({ name }: Pick<StateOptions, "name">): string => `new_${name}`;

/** States as they were, by the names of the inputs. */
export function pastStates(states: readonly PartState[]): Record<string, Value> {
  return Object.fromEntries(states.map((state) => [pastOf(state), state.past]));
}

/** What they have become, by the names of the outputs. */
export function nextStates(states: readonly PartState[]): Record<string, Value> {
  return Object.fromEntries(states.map((state) => [nextOf(state), state.next]));
}
