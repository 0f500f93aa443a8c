/**
 * @file Answers that an objective compares or judges, as sequences: a pair shares a group, a single answer is one alone.
 *
 * Longer ones than allowed lose the beginning of the prompt first, as many tokens on both sides of a pair, but never more
 * than leaves half the length to it; then the end of the answer. bos stays. What is equal afterwards cannot be told apart.
 */
import type { RowSource } from "../formats/parsed-row.ts";
import { countTrained, type Example } from "./example.ts";

export const COMPARED_ROLES = [
  "target",
  "chosen",
  "rejected",
  "desirable",
  "undesirable",
  "mismatched",
] as const;

/** The part of a sequence in its group. A target is alone and learned as it is; mismatched: a prompt with another's answer. */
export type ComparedRole = (typeof COMPARED_ROLES)[number];

/** An example with its part in a comparison. */
export interface ComparedExample extends Example {
  readonly role: ComparedRole;
  /** Number of the group, which no other row of the data set has. */
  readonly group: number;
}

/** Sequences that stay in one micro-batch. */
export interface Comparison {
  readonly sequences: readonly ComparedExample[];
  readonly source: RowSource;
  /** One of them lost tokens to maxLength. */
  readonly isCut?: true;
}

/** Tokens before the first trained one. */
export function promptLength({ weights }: Example): number {
  const first = weights.findIndex((weight) => weight > 0);
  return first < 0 ? weights.length : first;
}

/** Tokens at the start that two examples share, of their prompts. */
function sharedPrompt(a: Example, b: Example): number {
  const longest = Math.min(promptLength(a), promptLength(b));
  let length = 0;
  while (length < longest && a.ids[length] === b.ids[length]) length++;
  return length;
}

/** How a comparison is cut. */
interface FitOptions {
  readonly maxLength: number;
  /** Token that stays at the very start of a prompt; null: none. */
  readonly bosId: number | null;
}

function cut<E extends Example>(example: E, numKept: number, numLost: number, maxLength: number): E {
  const keeps = (_: number, i: number): boolean => i < numKept || i >= numKept + numLost;
  return {
    ...example,
    ids: example.ids.filter(keeps).slice(0, maxLength),
    weights: example.weights.filter(keeps).slice(0, maxLength),
  };
}

/** Cuts a comparison to the length; the same object when it fits. */
export function fitComparison(comparison: Comparison, { maxLength, bosId }: FitOptions): Comparison {
  const { sequences } = comparison;
  const longest = Math.max(...sequences.map(({ ids }) => ids.length));
  if (longest <= maxLength) return comparison;
  const first = sequences[0]!;
  const prompt = Math.min(...sequences.map((sequence) => sharedPrompt(first, sequence)));
  const numKept = prompt > 0 && first.ids[0] === bosId ? 1 : 0;
  const wanted = Math.max(Math.floor(maxLength / 2), maxLength - (longest - prompt));
  const numLost = Math.max(0, prompt - Math.max(wanted, numKept));
  return {
    ...comparison,
    sequences: sequences.map((sequence) => cut(sequence, numKept, numLost, maxLength)),
  };
}

/** Whether there is something to learn from a comparison: trained tokens in each sequence, and not the same ones. */
export function isTelling({ sequences }: Comparison): boolean {
  const texts = new Set(sequences.map(({ ids }) => ids.join()));
  return texts.size === sequences.length && sequences.every((sequence) => countTrained(sequence) > 0);
}

/**
 * Joins each prompt with the answer of the sequence before it, the first with the last one's: what the divergence of a
 * model from its reference is estimated on. One sequence alone has no other's answer, so nothing comes of it.
 */
export function mismatch(sequences: readonly ComparedExample[], maxLength: number): ComparedExample[] {
  if (sequences.length < 2) return [];
  return sequences.map((sequence, i) => {
    const other = sequences.at(i - 1)!;
    const [length, from] = [promptLength(sequence), promptLength(other)];
    const join = (own: ArrayLike<number>, others: ArrayLike<number>): number[] =>
      [...Array.from(own).slice(0, length), ...Array.from(others).slice(from)].slice(0, maxLength);
    return {
      ...sequence,
      ids: Int32Array.from(join(sequence.ids, other.ids)),
      weights: Float32Array.from(join(sequence.weights, other.weights)),
      role: "mismatched",
    };
  });
}
