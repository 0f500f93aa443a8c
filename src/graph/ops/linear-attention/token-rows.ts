/** @file Nodes over rows of tokens [B, T, H·E] with H heads: shifts, and products head by head. */
import type { Emitter } from "../../emitter.ts";

export class TokenRows {
  readonly #emitter: Emitter;
  readonly #numHeads: number;

  constructor(emitter: Emitter, numHeads: number) {
    this.#emitter = emitter;
    this.#numHeads = numHeads;
  }

  readonly sub = (a: string, b: string): string => this.#emitter.value("Sub", [a, b]);

  /** Reverses the order of the tokens. */
  readonly reverse = (x: string): string => {
    const ends = [-1, -(2 ** 31), 1, -1].map((place) => this.#int64(place));
    return this.#emitter.value("Slice", [x, ...ends]);
  };

  /** Shifts rows so that each token has the next one's row, and the last zeros. */
  next(x: string): string {
    return this.#shift(x, 1);
  }

  /** Shifts rows so that each token has the previous one's row, and the first zeros. */
  previous(x: string): string {
    return this.#shift(x, -1);
  }

  #shift(x: string, by: 1 | -1): string {
    // Negative padding cuts off a row.
    const inputs = [x, this.#emitter.int64([-by, by]), this.#emitter.scalar(0), this.#int64(1)];
    return this.#emitter.value("Pad", inputs);
  }

  /** Multiplies x by factors [B, T, H], head by head. */
  scaled(factors: string, x: string): string {
    const each = this.#emitter.value("Unsqueeze", [factors, this.#emitter.int64([3])]);
    return this.#joined(this.#emitter.value("Mul", [this.#heads(x), each]));
  }

  /** Returns the inner product of each head, [B, T, H]. */
  dot(x: string, y: string): string {
    const products = this.#heads(this.#emitter.value("Mul", [x, y]));
    return this.#emitter.value("ReduceSum", [products, this.#emitter.int64([3])], { keepdims: 0 });
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
