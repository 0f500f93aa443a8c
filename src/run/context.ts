/**
 * @file What every block of a pass reads besides activations and weights: mask, positions, rotary tables.
 *
 * A position sees the positions of its own example, up to itself in a causal model, so packed examples never see each
 * other; padding sees padding, which keeps its softmax finite.
 */
import type { ModelConfig } from "../models/architecture.ts";
import { ropeTables } from "../nn/rope-tables.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";

/** Score of a position that may not be seen: its weight rounds to zero. */
const HIDDEN = -1e9;

/** Tensors that the blocks of one pass share. */
export interface PassContext {
  readonly numRows: number;
  readonly length: number;
  readonly tensors: {
    /** [B, 1, T, S] */
    readonly mask: HostTensor<"float32">;
    /** [B, T] */
    readonly positions: HostTensor<"int64">;
    /** [B], which adapter each row has, where several are side by side. */
    readonly rows?: HostTensor<"int64">;
    /** [B, T, 1], 1 at the last token of a prompt, else 0. */
    readonly promptEnds: HostTensor<"float32">;
    /** Where the model turns queries and keys. */
    readonly cos?: HostTensor<"float32">;
    readonly sin?: HostTensor<"float32">;
  };
}

/** Makes contexts; the rotary tables grow with the longest position seen. */
export class ContextMaker {
  readonly #config: ModelConfig;
  #numPositions = 0;
  #tables: ReturnType<typeof ropeTables> | null = null;

  constructor(config: ModelConfig) {
    this.#config = config;
  }

  #rope(numPositions: number): ReturnType<typeof ropeTables> | null {
    const { rope } = this.#config;
    if (!rope) return null;
    if (!this.#tables || numPositions > this.#numPositions) {
      this.#numPositions = Math.max(numPositions, 2 * this.#numPositions);
      this.#tables = ropeTables(rope, this.#numPositions);
    }
    return this.#tables;
  }

  /**
   * Context of whole rows: `positions` [B, T] restart with each example, `segments` [B, T] number them, and 1 in
   * `promptEnds` [B, T] marks the last token of a prompt; without it none is marked.
   */
  rows(
    numRows: number,
    length: number,
    positions: BigInt64Array,
    segments: Int32Array,
    promptEnds: Float32Array = new Float32Array(numRows * length),
  ): PassContext {
    const mask = new Float32Array(numRows * length * length);
    for (let row = 0; row < numRows; row++) {
      for (let t = 0; t < length; t++) {
        const segment = segments[row * length + t]!;
        const from = (row * length + t) * length;
        for (let s = 0; s < length; s++) {
          const other = segments[row * length + s]!;
          mask[from + s] = (s <= t || !this.#config.causal) && other === segment ? 0 : HIDDEN;
        }
      }
    }
    return {
      numRows,
      length,
      tensors: {
        mask: hostTensor("float32", [numRows, 1, length, length], mask),
        positions: hostTensor("int64", [numRows, length], positions),
        promptEnds: hostTensor("float32", [numRows, length, 1], promptEnds),
        ...this.#rope(length),
      },
    };
  }

  /** Context of `length` tokens of one sequence that follow `past` cached ones; the last may be the end of the prompt. */
  continuation(past: number, length: number, endsPrompt: boolean): PassContext {
    const total = past + length;
    const mask = new Float32Array(length * total);
    const positions = new BigInt64Array(length);
    const promptEnds = new Float32Array(length);
    if (endsPrompt) promptEnds[length - 1] = 1;
    for (let t = 0; t < length; t++) {
      mask.fill(HIDDEN, t * total + past + t + 1, (t + 1) * total);
      positions[t] = BigInt(past + t);
    }
    return {
      numRows: 1,
      length,
      tensors: {
        mask: hostTensor("float32", [1, 1, length, total], mask),
        positions: hostTensor("int64", [1, length], positions),
        promptEnds: hostTensor("float32", [1, length, 1], promptEnds),
        ...this.#rope(total),
      },
    };
  }
}

/** The context of a pass whose rows have the given adapters, by their number among those side by side. */
export function chooseAdapters(context: PassContext, adapterOf: readonly number[]): PassContext {
  const rows = hostTensor("int64", [adapterOf.length], BigInt64Array.from(adapterOf, BigInt));
  return { ...context, tensors: { ...context.tensors, rows } };
}
