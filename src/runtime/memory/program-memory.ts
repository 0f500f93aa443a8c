/**
 * @file Memory that programs read and write, which V8 does not count.
 *
 * V8 counts ArrayBuffers towards the growth after which it collects its heap: beside 700 MB of activations it collects a heap of
 * 48 MB after every 3 MB of new memory, on the processors that programs run on (docs/log.md#memory-of-a-process). It does not
 * count shared memory, which also cannot be transferred while native code uses it. But V8 does not hurry to free it either.
 */
import { type DataOf, type DType, DTYPES, type TensorData } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { type HostTensor, hostTensor } from "../host-tensor.ts";

/** V8 begins to collect after this much counted memory has been made since it last did. */
const ENOUGH_BYTES = 64e6;
/**
 * Dropped memory that V8 may keep before it is made to collect. Where rows grow from step to step, dropped memory lies beside its
 * replacement until then.
 */
const KEPT_BYTES = 16e6;
/** Below this, dropped tensors are left to V8's own collections: their owner leaves more than that on its heap. */
const FEW_BYTES = 4e6;

/** Makes memory of zeros that V8 does not count. The caller owns it. */
export function makeUncounted(sizeBytes: number): ArrayBufferLike {
  return new SharedArrayBuffer(sizeBytes);
}

/** Makes memory of zeros that V8 counts. The caller owns it. */
export function makeCounted(sizeBytes: number): ArrayBufferLike {
  return new ArrayBuffer(sizeBytes);
}

/** Counts dropped memory, and makes V8 collect once there is much of it. */
export class DroppedMemory {
  #sizeBytes = 0;

  /** Counts dropped memory. */
  add(sizeBytes: number): void {
    this.#sizeBytes += sizeBytes;
    if (this.#sizeBytes < KEPT_BYTES) return;
    this.#sizeBytes = 0;
    collectSoon();
  }
}

/** Makes V8 begin to collect. */
function collectSoon(): void {
  try {
    // Counted, then dropped at once; nothing is written to it, so it takes no memory.
    void new ArrayBuffer(ENOUGH_BYTES);
  } catch {
    // There is no room for it; V8 has then already collected all it can.
  }
}

/** Makes memory of the given size, all zeros. */
export type MakeMemory = (sizeBytes: number) => ArrayBufferLike;

/** Makes tensors that are all dropped together. */
export class LastingTensors {
  readonly #makeMemory: MakeMemory;
  #sizeBytes = 0;

  /** `makeMemory` is that of the engine that will use them. */
  constructor(makeMemory: MakeMemory) {
    this.#makeMemory = makeMemory;
  }

  /** Makes a tensor of zeros. */
  zeros<D extends DType>(dtype: D, shape: readonly number[]): HostTensor<D> {
    const { array, sizeBytes } = DTYPES[dtype];
    const memory = this.#makeMemory(numElements(shape) * sizeBytes);
    this.#sizeBytes += memory.byteLength;
    const data: TensorData = new array(memory as ArrayBuffer);
    return hostTensor(dtype, shape, data as DataOf<D>);
  }

  /**
   * Makes V8 free the tensors, unless they are tiny; otherwise the next ones would be allocated beside them. The caller must no
   * longer hold any.
   */
  drop(): void {
    if (this.#sizeBytes >= FEW_BYTES) collectSoon();
    this.#sizeBytes = 0;
  }
}
