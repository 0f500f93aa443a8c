/**
 * @file The gradient of the gated delta rule, by linear attention alone: forward over the tokens, and backward.
 *
 *   Rₜ = qₜ doₜᵀ + aₜ₊₁ (Rₜ₊₁ - kₜ₊₁ dvₜ₊₁ᵀ) = Pₜ - Nₜ    gradient of Sₜ;  P adds up q doᵀ backward, N adds up k dvᵀ of later tokens
 *   duₜ = Rₜᵀ kₜ = Pₜᵀ kₜ - Nₜᵀ kₜ    dvₜ = bₜ duₜ: so N follows the delta rule backward, with the values Pᵀ k
 *   dqₜ = Sₜ doₜ    dkₜ = Rₜ uₜ - bₜ aₜ Sₜ₋₁ duₜ    dbₜ = duₜ · (vₜ - aₜ Sₜ₋₁ᵀ kₜ)    dgₜ = Σₛ≥ₜ (qₛ · dqₛ - vₛ · dvₛ)
 *
 * S and R are nowhere but in the nodes: S x = Σ a k (u · x) is linear attention with keys u and values k, and so with P and N.
 */
import type { Emitter } from "../../emitter.ts";
import type { Node, Value } from "../../graph.ts";
import { linearAttentionOf } from "./linear-attention-nodes.ts";

type GradientNode = Node<
  Record<string, never>,
  readonly [q: Value, k: Value, v: Value, g: Value, b: Value, gradient: Value],
  readonly [dq: Value, dk: Value, dv: Value, dg: Value, db: Value]
>;

/** Its exponential, and that of all below, is 0 in float32. */
const FORGET_ALL = 1e4;

/** Adds its nodes. */
export function emitDeltaRuleGradient(emitter: Emitter, node: GradientNode, numHeads: number): void {
  const [q, k, v, g, b, dO] = emitter.names(node.inputs);
  const [dq, dk, dv, dg, db] = emitter.names(node.outputs);
  const rows = new TokenRows(emitter, numHeads);
  const { mul, sub, add, reverse } = rows;
  const heads = { numHeads };

  // Forward: what keys find before their tokens correct it, and the corrections.
  const found = linearAttentionOf(
    emitter,
    { query: rows.next(k), key: k, value: v, decay: g, rate: b },
    heads,
  );
  const y = rows.scaled(emitter.value("Exp", [g]), rows.previous(found));
  const missing = sub(v, y);
  const u = rows.scaled(b, missing);

  // Backward: P, then N, whose values are what keys find in P.
  const [rq, rk, ru, rb, rdO] = [q, k, u, b, dO].map(reverse) as [string, string, string, string, string];
  const decay = reverse(rows.next(g));
  const inP = linearAttentionOf(emitter, { query: rk, key: rq, value: rdO, decay, rate: null }, heads);
  const ofN = { query: rows.next(rk), key: rk, value: inP, decay, rate: rb };
  const inN = rows.scaled(
    emitter.value("Exp", [decay]),
    rows.previous(linearAttentionOf(emitter, ofN, heads)),
  );
  const rdu = sub(inP, inN);
  const rdv = rows.scaled(rb, rdu);
  const du = reverse(rdu);
  emitter.node("Identity", [reverse(rdv)], [dv]);

  // S do and S du at once: two queries of the same state.
  const both = rows.queries(dO, du);
  const read = linearAttentionOf(
    emitter,
    { query: both, key: u, value: k, decay: g, rate: null },
    { numHeads, numQueries: 2 },
  );
  const [ofDO, ofDu] = rows.ofQueries(read);
  emitter.node("Identity", [ofDO], [dq]);

  // R u; N of a token has none of its own, which is added back.
  const uP = linearAttentionOf(emitter, { query: ru, key: rdO, value: rq, decay, rate: null }, heads);
  const uN = linearAttentionOf(emitter, { query: ru, key: rdv, value: rk, decay, rate: null }, heads);
  const own = rows.scaled(mul(b, rows.dot(u, du)), k);
  const others = sub(reverse(sub(uP, uN)), rows.scaled(b, ofDu));
  emitter.node("Add", [others, add(own, own)], [dk]);

  emitter.node("Identity", [rows.dot(du, missing)], [db]);
  const change = sub(rows.dot(q, dq), rows.dot(v, dv));
  emitter.node("Identity", [rows.sumsToEnd(change, emitter.value("Exp", [g]))], [dg]);
}

/** Nodes over rows of tokens [B, T, H·E], of H heads. */
class TokenRows {
  readonly #emitter: Emitter;
  readonly numHeads: number;

  constructor(emitter: Emitter, numHeads: number) {
    this.#emitter = emitter;
    this.numHeads = numHeads;
  }

  readonly mul = (a: string, b: string): string => this.#emitter.value("Mul", [a, b]);
  readonly add = (a: string, b: string): string => this.#emitter.value("Add", [a, b]);
  readonly sub = (a: string, b: string): string => this.#emitter.value("Sub", [a, b]);

  /** The last token first. */
  readonly reverse = (x: string): string => {
    const { int64 } = this.#ints;
    return this.#emitter.value("Slice", [x, int64(-1), int64(-(2 ** 31)), int64(1), int64(-1)]);
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
    const { int64 } = this.#ints;
    const pads = this.#emitter.int64(by === 1 ? [0, 1] : [1, 0]);
    const padded = this.#emitter.value("Pad", [x, pads, this.#emitter.scalar(0), int64(1)]);
    const [start, end] = by === 1 ? [1, 2 ** 31] : [0, -1];
    return this.#emitter.value("Slice", [padded, int64(start), int64(end), int64(1)]);
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
   * Sums of x [B, T, H] from each token to the last of its example, where those over all of an example are zero; `kept` [B, T, H]: what
   * each token keeps, of which the first of an example has none. The half of that sum and of minus the sum before it, of which fewer
   * terms are rounded. By linear attention with heads of one element, as sums over all would let what is rounded in one example into
   * another.
   */
  sumsToEnd(x: string, kept: string): string {
    const { numHeads } = this;
    const isKept = this.#emitter.value("Sign", [kept]);
    const decay = this.mul(this.sub(isKept, this.#emitter.scalar(1)), this.#emitter.scalar(FORGET_ALL));
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
    return this.#emitter.value("Reshape", [x, this.#emitter.int64([0, 0, this.numHeads, -1])]);
  }

  #joined(x: string): string {
    return this.#emitter.value("Reshape", [x, this.#emitter.int64([0, 0, -1])]);
  }

  get #ints(): { readonly int64: (value: number) => string } {
    return { int64: (value) => this.#emitter.int64([value]) };
  }
}
