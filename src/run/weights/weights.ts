/**
 * @file The forms of a base model's tensors that programs read, lent block by block.
 *
 * Loans are counted: memory of a block is reused only when nobody holds it, so several passes over the model can run at the same
 * time. Without `float32` residency a pass holds two blocks, the running one and the one that is being read. Within a budget of
 * memory, as many blocks stay as fit (`block-shards`).
 */
import type { BaseModel } from "../../models/base/base-model.ts";
import { isOutside } from "../../models/module-path.ts";
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import { numElements } from "../../graph/shape.ts";
import type { OperandSpec, Preparation, TensorReader } from "../../nn/compute.ts";
import { type HostTensor, hostTensor, type Tensors } from "../../runtime/host-tensor.ts";
import { allDone } from "../../runtime/memory/all-done.ts";
import { LastingTensors, makeCounted } from "../../runtime/memory/program-memory.ts";
import { RESIDENT, type VectorMemory } from "../../runtime/memory/vector-memory.ts";
import { BlockShards } from "./block-shards.ts";
import { madeOnce } from "../../runtime/made-once.ts";
import type { Loan, Lender } from "./loan.ts";
import { readerOf } from "./tensor-reader.ts";

/** How weights are kept between two uses: as they are stored, or as programs read them, which is mostly float32. */
export const RESIDENCIES = ["stored", "float32"] as const;
export type Residency = (typeof RESIDENCIES)[number];

/** Factors [in] for the inputs of matrices, by the matrices' names; matrices that read the same value share them. */
export type Smoothing = ReadonlyMap<string, HostTensor<"float32">>;

/** Memory of one block, and the tensors that are in it or being read. */
interface Slot {
  readonly kind: number;
  /** The slot's own memory, by name. */
  readonly buffers: Record<string, HostTensor>;
  readonly tensors: Record<string, HostTensor>;
  /**
   * Promises of tensors that are being read or have been, by the name of their first operand, since a tensor may be read in two
   * arithmetics.
   */
  filled: Map<string, Promise<void>>;
  layer: number;
  numLeases: number;
}

export class Weights implements Lender {
  readonly residency: Residency;
  readonly memory: VectorMemory;
  readonly #base: BaseModel;
  /** null: memory has no budget. */
  readonly #shards: BlockShards | null;
  /** Allocates the memory that tensors are read into. */
  readonly #tensors: LastingTensors;
  readonly #smoothing: Smoothing;
  /** All slots, the one released longest ago first. */
  readonly #slots: Slot[] = [];
  /** Forms of tensors outside the blocks in an arithmetic, keyed as `Slot.filled`. */
  readonly #preparedOutside = new Map<string, Promise<Tensors>>();
  /** Tensors outside the blocks, by name. */
  readonly #outsideBlocks = new Map<string, Promise<HostTensor<"float32">>>();

  constructor(
    base: BaseModel,
    residency: Residency,
    {
      memory = RESIDENT,
      tensors = new LastingTensors(makeCounted),
      smoothing = new Map(),
    }: { memory?: VectorMemory; tensors?: LastingTensors; smoothing?: Smoothing } = {},
  ) {
    this.#base = base;
    this.#tensors = tensors;
    this.#smoothing = smoothing;
    this.residency = residency;
    this.memory = memory;
    this.#shards = memory.budgetBytes === null ? null : new BlockShards(base, memory);
  }

  /** Returns tensors outside the blocks by name, read at first use; owned by the model. @throws as the source */
  async readOutsideBlocks(
    names: readonly string[],
  ): Promise<Readonly<Record<string, HostTensor<"float32">>>> {
    const tensors: Record<string, HostTensor<"float32">> = {};
    for (const name of names)
      tensors[name] = await madeOnce(this.#outsideBlocks, name, () => this.#readFloat32(name));
    return tensors;
  }

  /**
   * Returns the form of a tensor outside the blocks that programs in an arithmetic read, by input name; made at first use, owned
   * by the model. @throws as the source
   */
  async prepareOutsideBlocks(read: TensorRead): Promise<Tensors> {
    return await madeOnce(this.#preparedOutside, keyOf(read), () => this.#prepareOutside(read));
  }

  async #prepareOutside({ tensor, preparation }: TensorRead): Promise<Tensors> {
    const { model, source } = this.#base;
    const name = model.storedName(tensor);
    const reader: TensorReader = {
      ...readerOf(source, name),
      smoothing: () => this.#smoothing.get(tensor) ?? null,
    };
    const memory = ({ dtype, shape }: OperandSpec): HostTensor => this.#tensors.zeros(dtype, shape);
    const make = (): Promise<Tensors> => preparation.prepare(reader, memory);
    const prepared = await this.#operands(name, preparation, make);
    return Object.fromEntries(
      Object.entries(prepared).map(([suffix, operand]) => [tensor + suffix, operand]),
    );
  }

  async #readFloat32(name: string): Promise<HostTensor<"float32">> {
    if (!this.#shards) return await this.#base.values(name);
    const { source, model } = this.#base;
    const { shape = [] } = model.tensors.get(model.storedName(name)) ?? {};
    const length = numElements(shape);
    const tensor = this.memory.make({ name, sizeBytes: 4 * length }, (buffer) =>
      hostTensor("float32", shape, new Float32Array(buffer, 0, length)),
    );
    const hold = await this.memory.hold([tensor.data], "change");
    try {
      await source.readInto(model.storedName(name), tensor.data);
      return tensor;
    } catch (error) {
      hold.release();
      this.memory.discard([tensor.data]);
      throw error;
    }
  }

  /** Takes the operands of a tensor from the store if an earlier run kept them; otherwise makes them, and keeps them. */
  async #operands(
    name: string,
    { keptAs, operands }: Preparation,
    make: () => Promise<Tensors>,
  ): Promise<Tensors> {
    const store = this.#base.source.operands;
    if (keptAs === undefined || !store) return await make();
    const kept = await store.find(name, keptAs, operands);
    if (kept) return kept;
    const made = await make();
    store.add(name, keptAs, made);
    return made;
  }

  /** Begins to read tensors of a block that will be requested next. */
  prefetch(layer: number, tensors: readonly TensorRead[]): void {
    this.#shards?.prefetch(layer, tensors);
  }

  /** Lends tensors of a block, named by their path inside it. @throws as the source */
  async borrow(layer: number, tensors: readonly TensorRead[]): Promise<Loan> {
    if (this.#shards) return await this.#shards.borrow(layer, tensors);
    const slot = this.#slotOf(layer);
    slot.numLeases++;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.#release(slot);
      isHeld = false;
    };
    try {
      await allDone(tensors.map((tensor) => this.#fill(slot, tensor)));
    } catch (error) {
      release();
      throw error;
    }
    return { tensors: slot.tensors, release };
  }

  /** Frees the memory. Call it when none of it is used any more. */
  release(): void {
    this.#slots.length = 0;
    this.#preparedOutside.clear();
    this.#outsideBlocks.clear();
    this.#tensors.drop();
  }

  #slotOf(layer: number): Slot {
    const known = this.#slots.find((slot) => slot.layer === layer);
    if (known) return known;
    const kind = this.#base.model.layers[layer]?.kind ?? 0;
    const idle =
      this.residency === "stored"
        ? this.#slots.find((slot) => slot.numLeases === 0 && slot.kind === kind)
        : undefined;
    if (idle) {
      idle.layer = layer;
      idle.filled = new Map();
      return idle;
    }
    const made: Slot = { kind, buffers: {}, tensors: {}, filled: new Map(), layer, numLeases: 0 };
    this.#slots.push(made);
    return made;
  }

  #release(slot: Slot): void {
    slot.numLeases--;
    this.#slots.push(...this.#slots.splice(this.#slots.indexOf(slot), 1));
  }

  #fill(slot: Slot, read: TensorRead): Promise<void> {
    return madeOnce(slot.filled, keyOf(read), () => this.#prepare(slot, read));
  }

  async #prepare(slot: Slot, { tensor, preparation }: TensorRead): Promise<void> {
    const { model, source } = this.#base;
    const path = model.tensorName(slot.layer, tensor);
    if (isOutside(tensor)) {
      const { [path]: shared } = await this.readOutsideBlocks([path]);
      slot.tensors[tensor] = shared!;
      return;
    }
    const memory = ({ suffix, dtype, shape }: OperandSpec): HostTensor =>
      (slot.buffers[tensor + suffix] ??= this.#tensors.zeros(dtype, shape));
    const reader: TensorReader = {
      ...readerOf(source, path),
      // Mapped pages count as memory of the process: they are worth it only where they replace memory of our own.
      view: () => (this.residency === "float32" ? source.view(path) : null),
      smoothing: () => this.#smoothing.get(path) ?? null,
    };
    const make = (): Promise<Tensors> => preparation.prepare(reader, memory);
    const prepared = await this.#operands(path, preparation, make);
    for (const [suffix, operand] of Object.entries(prepared)) slot.tensors[tensor + suffix] = operand;
  }
}

/** Distinguishes reads of a tensor in different arithmetics. */
function keyOf({ tensor, preparation }: TensorRead): string {
  return tensor + (preparation.operands[0]?.suffix ?? "");
}
