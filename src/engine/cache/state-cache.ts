/**
 * @file States of fixed size in which layers keep all tokens of a text: those of the active texts, which a pass reads and
 * replaces.
 *
 * A text has its states beside its pages; their size does not depend on its length. A state belongs to the last computed token
 * only, so no other text can start from it.
 */
import type { StateOptions } from "../../models/graphs/part-state.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { Sequence } from "./sequence.ts";

/** A state of some rows before a pass and after it, [B, ...shape]. */
export interface StateRows {
  readonly name: string;
  readonly past: HostTensor<"float32">;
  readonly next: HostTensor<"float32">;
}

type Numbers = Float32Array<ArrayBuffer>;

/** Memory that no pass uses. */
interface Spare {
  /** Memory of one state. */
  state: Numbers | null;
  /** Memory of several rows, before and after a pass. */
  rows: readonly [past: Numbers, next: Numbers] | null;
}

/** A state that a layer keeps. */
interface KeptState extends StateOptions {
  /** Numbers of a state. */
  readonly size: number;
  /** States by text. */
  readonly held: Map<Sequence, Numbers>;
  readonly spare: Spare;
}

export class StateCache {
  readonly #layers: readonly (readonly KeptState[])[];

  constructor(layers: readonly { readonly states: readonly StateOptions[] }[]) {
    this.#layers = layers.map(({ states }) =>
      states.map(({ name, shape }) => {
        const size = shape.reduce((product, n) => product * n, 1);
        return { name, shape, size, held: new Map(), spare: { state: null, rows: null } };
      }),
    );
  }

  /** Drops the states of texts that no longer have pages. */
  prune(): void {
    for (const { held } of this.#layers.flat())
      for (const sequence of held.keys()) if (sequence.pages.length === 0) held.delete(sequence);
  }

  /** The states of rows in a layer, zeros before their first token, and memory for the new ones. */
  rows(index: number, sequences: readonly Sequence[]): readonly StateRows[] {
    return (this.#layers[index] ?? []).map((state) => rowsOf(state, sequences));
  }

  /** Stores the states that a pass computed, except those of rows that have ended meanwhile. */
  keep(index: number, sequences: readonly Sequence[], rows: readonly StateRows[]): void {
    for (const [i, state] of this.#layers[index]!.entries()) keepRows(state, sequences, rows[i]!);
  }
}

function rowsOf(kept: KeptState, sequences: readonly Sequence[]): StateRows {
  const { name, shape, size, spare } = kept;
  const states = sequences.map((sequence) => stateOf(kept, sequence));
  const of = (data: Numbers): HostTensor<"float32"> =>
    hostTensor("float32", [states.length, ...shape], data.subarray(0, states.length * size));
  const [only, ...others] = states;
  if (only && others.length === 0) {
    const next = spare.state ?? new Float32Array(size);
    spare.state = null;
    return { name, past: of(only), next: of(next) };
  }
  const length = states.length * size;
  const fits = spare.rows !== null && spare.rows[0].length >= length;
  const [past, next] = fits ? spare.rows! : [new Float32Array(length), new Float32Array(length)];
  spare.rows = null;
  for (const [row, state] of states.entries()) past.set(state, row * size);
  return { name, past: of(past), next: of(next) };
}

function keepRows(
  { size, held, spare }: KeptState,
  sequences: readonly Sequence[],
  { past, next }: StateRows,
): void {
  const lives = (sequence: Sequence): boolean => sequence.pages.length > 0;
  const [only, ...others] = sequences;
  if (only && others.length === 0) {
    if (lives(only)) held.set(only, next.data as Numbers);
    spare.state = past.data as Numbers;
    return;
  }
  for (const [row, sequence] of sequences.entries())
    if (lives(sequence)) held.get(sequence)?.set(next.data.subarray(row * size, (row + 1) * size));
  spare.rows = [past, next].map(({ data }) => new Float32Array(data.buffer as ArrayBuffer)) as [
    Numbers,
    Numbers,
  ];
}

/** The state of a text, zeros before its first token. */
function stateOf({ size, held }: KeptState, sequence: Sequence): Numbers {
  const state = held.get(sequence) ?? new Float32Array(size);
  held.set(sequence, state);
  return sequence.numComputed > 0 ? state : state.fill(0);
}
