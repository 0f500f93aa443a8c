/**
 * @file The forms of a block's frozen tensors that programs read, in one shard for each block. A shard is never written, but read
 * again from the base when it is not in memory; or, in float16, it is made from the base once, written, and read from there.
 */
import { DTYPES, type DataOf, type DType } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { UsageError, assertInternal } from "../../errors.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { type TensorRead, operandNames } from "../../models/graphs/part-tensors.ts";
import type { HostTensor, Tensors } from "../../runtime/host-tensor.ts";
import { allDone } from "../../runtime/memory/all-done.ts";
import { float32ToFloat16, widenFloat16 } from "../../quant/codes/half.ts";
import type { StoredForm, VectorMemory } from "../../runtime/memory/vector-memory.ts";
import type { Loan } from "./loan.ts";
import { readerOf } from "./tensor-reader.ts";

/** Alignment of tensors, as in separate memory. */
const ALIGNMENT = 64;

/** Bytes that a tensor takes in a shard. */
export function alignedBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT;
}

export class BlockShards {
  readonly #base: BaseModel;
  readonly #memory: VectorMemory;
  /** Shards by layer and by what is read of it. */
  readonly #shards = new Map<string, Tensors>();

  constructor(base: BaseModel, memory: VectorMemory) {
    this.#base = base;
    this.#memory = memory;
  }

  /** Borrows tensors of a block. @throws as the source and the memory */
  async borrow(layer: number, reads: readonly TensorRead[]): Promise<Loan> {
    const tensors = this.#shardOf(layer, reads);
    const hold = await this.#memory.hold(viewsOf(tensors), "read");
    return { tensors, release: () => hold.release() };
  }

  prefetch(layer: number, reads: readonly TensorRead[]): void {
    this.#memory.prefetch(viewsOf(this.#shardOf(layer, reads)), "read");
  }

  #shardOf(layer: number, reads: readonly TensorRead[]): Tensors {
    const key = JSON.stringify([layer, reads.flatMap(operandNames)]);
    let shard = this.#shards.get(key);
    if (!shard) this.#shards.set(key, (shard = this.#make(layer, reads)));
    return shard;
  }

  #make(layer: number, reads: readonly TensorRead[]): Tensors {
    const places: { name: string; start: number; dtype: DType; shape: readonly number[] }[] = [];
    let sizeBytes = 0;
    for (const { tensor, preparation } of reads) {
      for (const { suffix, dtype, shape } of preparation.operands) {
        places.push({ name: tensor + suffix, start: sizeBytes, dtype, shape });
        sizeBytes += alignedBytes(numElements(shape) * DTYPES[dtype].sizeBytes);
      }
    }
    if (places.length === 0) return {};
    const load = async (): Promise<void> => {
      await allDone(reads.map((read) => this.#read(layer, read, tensors)));
      if (isHalf) requireHalves(layer, tensors);
    };
    const isHalf = this.#memory.frozenDtype === "float16";
    const form = isHalf ? { form: FLOAT16 } : {};
    const tensors: Tensors = this.#memory.make(
      { name: `weights of block ${layer}`, sizeBytes, load, ...form },
      (buffer) =>
        Object.fromEntries(
          places.map(({ name, start, dtype, shape }): [string, HostTensor] => {
            const data = new DTYPES[dtype].array(buffer, start, numElements(shape)) as DataOf<DType>;
            return [name, { dtype, shape, data }];
          }),
        ),
    );
    return tensors;
  }

  async #read(layer: number, { tensor, preparation }: TensorRead, into: Tensors): Promise<void> {
    const { model, source } = this.#base;
    const path = model.tensorName(layer, tensor);
    const prepared = await preparation.prepare(
      readerOf(source, path),
      ({ suffix }) => into[tensor + suffix] as HostTensor,
    );
    for (const [suffix, operand] of Object.entries(prepared))
      assertInternal(operand === into[tensor + suffix], `${path}${suffix} was prepared in other memory`);
  }
}

/** @throws UsageError "usage/scale" for numbers that float16 cannot represent */
function requireHalves(layer: number, tensors: Tensors): void {
  for (const [name, { data }] of Object.entries(tensors)) {
    const large = (data as Float32Array).find((value) => Math.abs(value) >= 65_520);
    if (large === undefined) continue;
    throw new UsageError(
      "usage/scale",
      `Cannot keep "${name}" of block ${layer} as float16: it contains ${large}, expected numbers below 65520`,
      { hint: "Leave --shard-dtype out." },
    );
  }
}

/**
 * float16 in the memory of float32 numbers: rounds to the nearest; reads into the rear half of the memory, and widens from there.
 */
const FLOAT16: StoredForm = {
  encode: (buffer) => {
    const { buffer: bytes, byteOffset, byteLength } = float32ToFloat16(new Float32Array(buffer));
    return new Uint8Array(bytes, byteOffset, byteLength);
  },
  place: (buffer) => new Uint8Array(buffer, buffer.byteLength / 2),
  decode: (buffer) => widenFloat16(new Uint16Array(buffer, buffer.byteLength / 2), new Float32Array(buffer)),
};

function viewsOf(tensors: Tensors): HostTensor["data"][] {
  return Object.values(tensors).map(({ data }) => data);
}
