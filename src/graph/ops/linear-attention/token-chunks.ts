/** @file Rows of tokens [B, T, H·E] cut into n chunks of C tokens, [B, n, h, C, E], some heads at a time. */
import type { Emitter } from "../../emitter.ts";

/** Most tokens of a chunk. */
const CHUNK_TOKENS = 64;

/** From the heads of each token, [n, C, h, E], to the tokens of each head, [n, h, C, E], and back. */
const TURNED = [0, 1, 3, 2, 4];

/** A range of the heads in a row. */
export interface HeadRange {
  readonly first: number;
  readonly count: number;
  /** Number of all heads. */
  readonly numHeads: number;
}

/** Cuts rows of one length into equal chunks, as few and as short as possible; the last one is padded with zeros. */
export class TokenChunks {
  readonly #emitter: Emitter;
  readonly #length: string;
  readonly #numChunks: string;
  /** C, int64 [1]. */
  readonly #size: string;
  readonly #padded: string;

  /** `row`: any tensor of the length, [B, T, ?]. */
  constructor(emitter: Emitter, row: string) {
    this.#emitter = emitter;
    const one = emitter.int64([1]);
    const ceil = (x: string, by: string): string =>
      emitter.value("Div", [emitter.value("Sub", [emitter.value("Add", [x, by]), one]), by]);
    this.#length = emitter.value("Shape", [row], { start: 1, end: 2 });
    this.#numChunks = ceil(this.#length, emitter.int64([CHUNK_TOKENS]));
    this.#size = ceil(this.#length, this.#numChunks);
    this.#padded = emitter.value("Mul", [this.#numChunks, this.#size]);
  }

  /** Cuts some heads of [B, T, H·E] into [B, n, h, C, E]; `after`: a zero, int64 [1], that delays this until it is known. */
  cut(x: string, { first, count, numHeads }: HeadRange, after: string | null): string {
    const e = this.#emitter;
    const heads = e.value("Reshape", [x, e.int64([0, 0, numHeads, -1])]);
    const lacking = e.value("Sub", [this.#padded, this.#length]);
    const start = e.int64([-first]);
    // Negative padding cuts off the other heads.
    const pads = [e.int64([0]), after === null ? start : e.value("Add", [start, after]), lacking];
    const ends = e.value("Concat", [...pads, e.int64([first + count - numHeads])], { axis: 0 });
    const whole = e.value("Pad", [heads, ends, e.scalar(0), e.int64([1, 2])]);
    const shape = [e.int64([0]), this.#numChunks, this.#size, e.int64([count, -1])];
    const chunks = e.value("Reshape", [whole, e.value("Concat", shape, { axis: 0 })]);
    return e.value("Transpose", [chunks], { perm: TURNED });
  }

  /** Joins [B, n, h, C, E] to [B, T, h·E]. */
  join(x: string): string {
    const e = this.#emitter;
    const shape = e.value("Concat", [e.int64([0]), this.#padded, e.int64([-1])], { axis: 0 });
    const whole = e.value("Reshape", [e.value("Transpose", [x], { perm: TURNED }), shape]);
    return e.value("Slice", [whole, e.int64([0]), this.#length, e.int64([1])]);
  }

  /** A matrix [C, C] of ones on and above the diagonal, or only above it, and zeros elsewhere. */
  upper(first: "diagonal" | "above"): string {
    const e = this.#emitter;
    const shape = e.value("Concat", [this.#size, this.#size], { axis: 0 });
    const above = e.int64Scalar(first === "diagonal" ? 0 : 1);
    return e.value("Trilu", [e.value("Expand", [e.scalar(1), shape]), above], { upper: 1 });
  }
}
