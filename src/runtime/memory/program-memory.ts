/**
 * @file Memory that programs read and write, which V8 does not count.
 *
 * V8 counts ArrayBuffers against what its heap may grow by before it is collected: beside 700 MB of activations it collects a
 * heap of 48 MB whenever 3 are new, on processors that programs run on (docs/log.md#memory-of-a-process). Shared memory it does not count, and
 * nobody can transfer it away under native code. But then it does not hurry to free it either.
 */
import { type DataOf, type DType, DTYPES, type TensorData } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { type HostTensor, hostTensor } from "../host-tensor.ts";

/** V8 begins to collect when so much that it counts was made since it last did. */
const ENOUGH_BYTES = 64e6;
/** Dropped memory that V8 is let keep: where rows grow from step to step, what is dropped lies beside what takes its place. */
const KEPT_BYTES = 16e6;
/** Fewer bytes than whoever drops them leaves on the heap of V8, which collects that in time. */
const FEW_BYTES = 4e6;

/** Makes memory of zeros that V8 does not count. The caller owns it. */
export function makeUncounted(sizeBytes: number): ArrayBufferLike {
  return new SharedArrayBuffer(sizeBytes);
}

/** Makes memory of zeros that V8 counts. The caller owns it. */
export function makeCounted(sizeBytes: number): ArrayBufferLike {
  return new ArrayBuffer(sizeBytes);
}

/** Counts the memory that was dropped, and has V8 collect once it is much. */
export class DroppedMemory {
  #sizeBytes = 0;

  /** Counts memory that was dropped. */
  add(sizeBytes: number): void {
    this.#sizeBytes += sizeBytes;
    if (this.#sizeBytes < KEPT_BYTES) return;
    this.#sizeBytes = 0;
    collectSoon();
  }
}

/** Has V8 begin to collect. */
function collectSoon(): void {
  try {
    // Counted and dropped at once; nobody writes to it, so that it takes no memory.
    void new ArrayBuffer(ENOUGH_BYTES);
  } catch {
    // There is no room for it, and V8 has collected all it can before it says so.
  }
}

/** Makes memory of so many bytes, all zeros. */
export type MakeMemory = (sizeBytes: number) => ArrayBufferLike;

/** Makes tensors that are all needed as long as one of them is. */
export class LastingTensors {
  readonly #makeMemory: MakeMemory;
  #sizeBytes = 0;

  /** `makeMemory`: as the engine makes it that runs on them. */
  constructor(makeMemory: MakeMemory) {
    this.#makeMemory = makeMemory;
  }

  /** Makes one of zeros. */
  zeros<D extends DType>(dtype: D, shape: readonly number[]): HostTensor<D> {
    const { array, sizeBytes } = DTYPES[dtype];
    const memory = this.#makeMemory(numElements(shape) * sizeBytes);
    this.#sizeBytes += memory.byteLength;
    const data: TensorData = new array(memory as ArrayBuffer);
    return hostTensor(dtype, shape, data as DataOf<D>);
  }

  /** Has V8 free them unless they are tiny, as the next ones would be allocated beside them. The caller no longer holds any. */
  drop(): void {
    if (this.#sizeBytes >= FEW_BYTES) collectSoon();
    this.#sizeBytes = 0;
  }
}
