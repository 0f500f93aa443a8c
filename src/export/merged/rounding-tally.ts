/** @file Measures what rounding costs the tensors of a merged model. */

/** The cost of rounding: |rounded - exact| / |exact| (Euclidean) of the tensors that are not exact. */
export interface Rounding {
  readonly numTensors: number;
  readonly meanError: number;
  readonly worstError: number;
  readonly worstTensor: string | null;
  /**
   * (exact - rounded) · (exact - base) / |exact - base|² over all changed tensors: the share of the adapter's change that
   * rounding undoes. 0 for errors in random directions, 1 if every number returns to its old value.
   */
  readonly lostChange: number;
}

/** Adds up rounding errors. */
export class RoundingTally {
  #numTensors = 0;
  #sum = 0;
  #worstError = 0;
  #worstTensor: string | null = null;
  #lost = 0;
  #change = 0;

  /** Counts a tensor; `before` are the values of the base, if the adapter changes them. */
  add(name: string, exact: Float32Array, rounded: Float32Array, before: Float32Array | null): void {
    let [difference, size] = [0, 0];
    for (let i = 0; i < exact.length; i++) {
      const missing = exact[i]! - rounded[i]!;
      difference += missing ** 2;
      size += exact[i]! ** 2;
      if (before === null) continue;
      const change = exact[i]! - before[i]!;
      this.#lost += missing * change;
      this.#change += change ** 2;
    }
    const error = size === 0 ? 0 : Math.sqrt(difference / size);
    if (error === 0) return;
    this.#numTensors++;
    this.#sum += error;
    if (error <= this.#worstError) return;
    this.#worstError = error;
    this.#worstTensor = name;
  }

  report(): Rounding {
    return {
      numTensors: this.#numTensors,
      meanError: this.#numTensors === 0 ? 0 : this.#sum / this.#numTensors,
      worstError: this.#worstError,
      worstTensor: this.#worstTensor,
      lostChange: this.#change === 0 ? 0 : this.#lost / this.#change,
    };
  }
}
