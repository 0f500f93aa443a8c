/**
 * @file Answers that an objective compares or judges, as sequences: a pair shares a group, a single answer has its own.
 *
 * Sequences that are too long first lose the beginning of the prompt after bos, as many tokens on both sides of a pair, until
 * the prompt has half of the maximum length; then they lose the end of the answer. Sequences that are equal afterwards cannot
 * be compared.
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

/**
 * The role of a sequence in its group. A target is the only one in its group and learned as it is; mismatched: a prompt with
 * another's answer.
 */
export type ComparedRole = (typeof COMPARED_ROLES)[number];

/** An example with its role in a comparison. */
export interface ComparedExample extends Example {
  readonly role: ComparedRole;
  /** Number of the group, unique to the row in the data set. */
  readonly group: number;
}

/** Sequences that stay in one micro-batch. */
export interface Comparison {
  readonly sequences: readonly ComparedExample[];
  readonly source: RowSource;
  /** At least one of them lost tokens to maxLength. */
  readonly isCut?: true;
}

/** Tokens before the first trained one. */
export function promptLength({ weights }: Example): number {
  const first = weights.findIndex((weight) => weight > 0);
  return first < 0 ? weights.length : first;
}

/** Number of tokens at the start that the prompts of two examples share. */
function sharedPrompt(a: Example, b: Example): number {
  const longest = Math.min(promptLength(a), promptLength(b));
  let length = 0;
  while (length < longest && a.ids[length] === b.ids[length]) length++;
  return length;
}

/** Limits for cutting a comparison. */
interface FitOptions {
  readonly maxLength: number;
  /** Token that is kept at the start of a prompt; null: none. */
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

/** Cuts a comparison to the maximum length; returns the same object if it fits. */
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

/** Whether a comparison can be learned from: its sequences all differ, and each has trained tokens. */
export function isTelling({ sequences }: Comparison): boolean {
  const texts = new Set(sequences.map(({ ids }) => ids.join()));
  return texts.size === sequences.length && sequences.every((sequence) => countTrained(sequence) > 0);
}

/**
 * Joins each prompt with the answer of the sequence before it, the first with the last one's. The divergence of a model from
 * its reference is estimated on these. Empty for fewer than two sequences.
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
