/**
 * @file Packs examples into a few flat arrays, which a thread can transfer without a copy, and a file can hold.
 *
 * Unpacked examples are views of these arrays, so 100,000 of them are not 200,000 allocations. All kinds of units use the same
 * arrays; a text with a class has no weights.
 */
import { sequencesOf, type TrainingUnit } from "./training-unit.ts";
import type { ClassExample } from "./class-example.ts";
import { COMPARED_ROLES, type ComparedExample } from "./comparison.ts";
import type { Example } from "./example.ts";

/** Units of a file, or of a piece of one, in order. S sequences, U units, N tokens. */
export interface PackedUnits {
  /** [N] */
  readonly ids: Int32Array;
  /** [N], or empty for texts with classes. */
  readonly weights: Float32Array;
  /** [S], the end of each sequence in the tokens. */
  readonly tokenEnds: Uint32Array;
  /** [S], index in `COMPARED_ROLES` of each sequence's role in its unit; empty if no sequences are compared. */
  readonly roles: Uint8Array;
  /** [U], the end of each unit in the sequences. */
  readonly sequenceEnds: Uint32Array;
  /** [U] */
  readonly lines: Uint32Array;
  /** [U], 1 for units that lost tokens to maxLength. */
  readonly cut: Uint8Array;
  /** [U, 3], the class, the position that predicts it, and the start of a second text or 0; empty for other kinds. */
  readonly labels: Int32Array;
  /** [U, V], the targets of the outputs, instead of the class; empty for other kinds. */
  readonly targets: Float32Array;
}

type Numbers = Int32Array | Float32Array | Uint32Array | Uint8Array;

/** Collects numbers in an array whose capacity doubles. */
class GrowingArray<A extends Numbers> {
  #values: A;
  length = 0;

  constructor(start: A) {
    this.#values = start;
  }

  #reserve(numMore: number): void {
    if (this.length + numMore <= this.#values.length) return;
    const Kind = this.#values.constructor as new (length: number) => A;
    const grown = new Kind(Math.max(this.#values.length * 2, this.length + numMore));
    grown.set(this.#values.subarray(0, this.length));
    this.#values = grown;
  }

  push(...values: readonly number[]): void {
    this.append(values);
  }

  append(values: ArrayLike<number>): void {
    this.#reserve(values.length);
    this.#values.set(values, this.length);
    this.length += values.length;
  }

  /** Returns a copy of the numbers, of exact length, and empties this array. */
  take(): A {
    const taken = this.#values.slice(0, this.length) as A;
    this.length = 0;
    return taken;
  }
}

export class UnitPacker {
  readonly #ids = new GrowingArray(new Int32Array(1024));
  readonly #weights = new GrowingArray(new Float32Array(1024));
  readonly #tokenEnds = new GrowingArray(new Uint32Array(64));
  readonly #roles = new GrowingArray(new Uint8Array(64));
  readonly #sequenceEnds = new GrowingArray(new Uint32Array(64));
  readonly #lines = new GrowingArray(new Uint32Array(64));
  readonly #cut = new GrowingArray(new Uint8Array(64));
  readonly #labels = new GrowingArray(new Int32Array(64));
  readonly #targets = new GrowingArray(new Float32Array(64));

  /** Number of tokens added since the last `take`. */
  get numTokens(): number {
    return this.#ids.length;
  }

  /** Copies a unit of tokens. */
  add(unit: TrainingUnit): void {
    for (const sequence of sequencesOf(unit)) {
      if ("pixels" in sequence) throw new TypeError("Cannot pack images: only units of tokens");
      this.#ids.append(sequence.ids);
      if ("label" in sequence) this.#addLabel(sequence);
      else this.#weights.append(sequence.weights);
      if ("role" in sequence) this.#roles.push(COMPARED_ROLES.indexOf(sequence.role));
      this.#tokenEnds.push(this.#ids.length);
    }
    this.#sequenceEnds.push(this.#tokenEnds.length);
    this.#lines.push("source" in unit ? unit.source.line : 0);
    this.#cut.push("isCut" in unit ? 1 : 0);
  }

  #addLabel({ label, labelIndex, secondAt = 0 }: ClassExample): void {
    if (typeof label !== "number") this.#targets.append(label);
    this.#labels.push(typeof label === "number" ? label : 0, labelIndex, secondAt);
  }

  /** Returns the units added since the last call, in arrays that the caller owns. */
  take(): PackedUnits {
    return {
      ids: this.#ids.take(),
      weights: this.#weights.take(),
      tokenEnds: this.#tokenEnds.take(),
      roles: this.#roles.take(),
      sequenceEnds: this.#sequenceEnds.take(),
      lines: this.#lines.take(),
      cut: this.#cut.take(),
      labels: this.#labels.take(),
      targets: this.#targets.take(),
    };
  }
}

/** Makes units from packed ones, with `file` as their source; they are views of the arrays. */
export function unpackUnits(packed: PackedUnits, file: string): TrainingUnit[] {
  const { ids, weights, tokenEnds, roles, sequenceEnds, lines, cut, labels, targets } = packed;
  const numTargets = targets.length / sequenceEnds.length;
  const isCompared = roles.length > 0;
  return Array.from(sequenceEnds, (sequenceEnd, unit) => {
    const source = { file, line: lines[unit]! };
    const isCut = cut[unit] === 1;
    const first = unit === 0 ? 0 : sequenceEnds[unit - 1]!;
    const sequences: (Example | ClassExample)[] = [];
    for (let s = first; s < sequenceEnd; s++) {
      const [start, end] = [s === 0 ? 0 : tokenEnds[s - 1]!, tokenEnds[s]!];
      const own = ids.subarray(start, end);
      if (labels.length > 0) {
        const ofOutputs = targets.subarray(s * numTargets, (s + 1) * numTargets);
        const [ofClass = 0, labelIndex = 0, secondAt = 0] = labels.subarray(3 * s, 3 * s + 3);
        const label = numTargets > 0 ? ofOutputs : ofClass;
        sequences.push({ ids: own, label, labelIndex, ...(secondAt > 0 && { secondAt }), source });
      } else sequences.push({ ids: own, weights: weights.subarray(start, end), source });
    }
    if (!isCompared) return isCut ? { ...sequences[0]!, isCut } : sequences[0]!;
    const compared = sequences.map((sequence, i) => ({
      ...sequence,
      role: COMPARED_ROLES[roles[first + i]!]!,
      group: source.line,
    })) as ComparedExample[];
    return { sequences: compared, source, ...(isCut && { isCut }) };
  });
}
