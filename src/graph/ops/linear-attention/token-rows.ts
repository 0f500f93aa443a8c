/** @file Nodes over rows of tokens [B, T, H·E], of H heads: shifts, products head by head, and sums over an example. */
import type { Emitter } from "../../emitter.ts";
import { FORGET_ALL, linearAttentionOf } from "./linear-attention-nodes.ts";

export class TokenRows {
  readonly #emitter: Emitter;
  readonly #numHeads: number;

  constructor(emitter: Emitter, numHeads: number) {
    this.#emitter = emitter;
    this.#numHeads = numHeads;
  }

  readonly mul = (a: string, b: string): string => this.#emitter.value("Mul", [a, b]);
  readonly add = (a: string, b: string): string => this.#emitter.value("Add", [a, b]);
  readonly sub = (a: string, b: string): string => this.#emitter.value("Sub", [a, b]);

  /** The last token first. */
  readonly reverse = (x: string): string => {
    const ends = [-1, -(2 ** 31), 1, -1].map((place) => this.#int64(place));
    return this.#emitter.value("Slice", [x, ...ends]);
  };

  /** Each row has what the next one had, the last zeros. */
  next(x: string): string {
    return this.#shift(x, 1);
  }

  /** Each row has what the one before had, the first zeros. */
  previous(x: string): string {
    return this.#shift(x, -1);
  }

  #shift(x: string, by: 1 | -1): string {
    const pads = this.#emitter.int64(by === 1 ? [0, 1] : [1, 0]);
    const axis = this.#int64(1);
    const padded = this.#emitter.value("Pad", [x, pads, this.#emitter.scalar(0), axis]);
    const [start, end] = by === 1 ? [1, 2 ** 31] : [0, -1];
    return this.#emitter.value("Slice", [padded, this.#int64(start), this.#int64(end), axis]);
  }

  /** Factors [B, T, H] times x, head by head. */
  scaled(factors: string, x: string): string {
    const each = this.#emitter.value("Unsqueeze", [factors, this.#emitter.int64([3])]);
    return this.#joined(this.mul(this.#heads(x), each));
  }

  /** Inner products of each head, [B, T, H]. */
  dot(x: string, y: string): string {
    const products = this.#heads(this.mul(x, y));
    return this.#emitter.value("ReduceSum", [products, this.#emitter.int64([3])], { keepdims: 0 });
  }

  /**
   * s_t = Σ_{u ≥ t} x_u over the tokens u of t's example, of x [B, T, H] whose sum over each example is zero; `kept` [B, T, H]: what each
   * token keeps, which is 0 for the first of an example. As the whole sum is zero, s_t is also -Σ_{u < t} x_u: the mean of both is taken,
   * since the error of rounding grows with the number of terms. The sums are linear attentions with heads of one element, which forget
   * all at the beginning of an example; a sum over the whole row would carry the rounding of one example into the next.
   */
  sumsToEnd(x: string, kept: string): string {
    const numHeads = this.#numHeads;
    const isKept = this.#emitter.value("Sign", [kept]);
    const decay = this.mul(this.sub(isKept, this.#emitter.scalar(1)), this.#emitter.scalar(-FORGET_ALL));
    const one = this.add(this.mul(isKept, this.#emitter.scalar(0)), this.#emitter.scalar(1));
    const sums = (value: string, decay: string): string =>
      linearAttentionOf(this.#emitter, { query: one, key: one, value, decay, rate: null }, { numHeads });
    const toEnd = this.reverse(sums(this.reverse(x), this.reverse(this.next(decay))));
    const before = this.sub(sums(x, decay), x);
    return this.mul(this.mul(this.sub(toEnd, before), isKept), this.#emitter.scalar(0.5));
  }

  /** Two queries a head, one beside the other, [B, T, 2·H·E]. */
  queries(a: string, b: string): string {
    return this.#joined(this.#emitter.value("Concat", [this.#heads(a), this.#heads(b)], { axis: 3 }));
  }

  /** What two queries a head have read, each by itself. */
  ofQueries(read: string): readonly [string, string] {
    const outputs = [this.#emitter.temporary(), this.#emitter.temporary()] as const;
    this.#emitter.node("Split", [this.#heads(read)], outputs, { axis: 3, num_outputs: 2 });
    return [this.#joined(outputs[0]), this.#joined(outputs[1])];
  }

  #heads(x: string): string {
    return this.#emitter.value("Reshape", [x, this.#emitter.int64([0, 0, this.#numHeads, -1])]);
  }

  #joined(x: string): string {
    return this.#emitter.value("Reshape", [x, this.#emitter.int64([0, 0, -1])]);
  }

  #int64(value: number): string {
    return this.#emitter.int64([value]);
  }
}
