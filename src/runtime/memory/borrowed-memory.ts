/**
 * @file Tensors as a running program sees them: checked, at a fixed place, and lent for reading or for writing.
 *
 * Native code holds addresses. So memory that it may touch must be long enough, must not shrink, must not be another output of
 * the same run, and must not be written while another run reads it; a mistake would crash the process or give wrong numbers.
 */
import { numElements, showShape } from "../../graph/shape.ts";
import { types } from "node:util";
import { DTYPES, type DType } from "../../graph/dtype.ts";
import { forbidTransfer } from "./forbid-transfer.ts";
import type { HostTensor } from "../host-tensor.ts";
import { hasOwnResize } from "./own-resize.ts";
import { guardRetractable, isRetracted } from "./retractable.ts";

/** A stretch of a buffer, in bytes. */
interface Stretch {
  readonly start: number;
  readonly end: number;
}

/** The stretches of one buffer that are lent now. */
class Loans {
  readonly #buffer: ArrayBufferLike;
  readonly reads: Stretch[] = [];
  readonly writes: Stretch[] = [];
  #isFixed = false;

  constructor(buffer: ArrayBufferLike) {
    this.#buffer = buffer;
  }

  /**
   * Forbids for good that the buffer is transferred to another thread: its memory would move away while native code runs. Shared
   * memory cannot move.
   */
  fix(): void {
    if (!this.#isFixed && !types.isSharedArrayBuffer(this.#buffer)) forbidTransfer(this.#buffer);
    this.#isFixed = true;
  }
}

/** Shared by all engines of the process, since they may use the same memory. */
const loansOf = new WeakMap<ArrayBufferLike, Loans>();

/** A tensor whose memory has been checked, with the engine's own object for it. */
export class Borrowed<N = unknown> implements Stretch {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostTensor["data"];
  readonly start: number;
  readonly end: number;
  readonly loans: Loans;
  /** The engine's own object for this memory, made when first needed. */
  native: N | null = null;

  /** @throws TypeError, RangeError for what cannot be lent; `what` names the tensor. */
  constructor({ dtype, shape, data }: HostTensor, what: string) {
    const array = DTYPES[dtype]?.array;
    if (!array) throw new TypeError(`${what} is of type "${dtype as string}", which graft does not have`);
    const kind = types.isTypedArray(data) ? data[Symbol.toStringTag] : typeof data;
    if (kind !== array.name) throw new TypeError(`${what} is ${dtype} in ${kind}, expected ${array.name}`);
    const { buffer } = data;
    // Shared memory can neither shrink nor be transferred.
    if (!types.isSharedArrayBuffer(buffer)) requireFixed(buffer, what);
    if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      throw new RangeError(`${what} has shape [${String(shape)}], expected whole numbers from 0`);
    }
    const length = numElements(shape);
    if (data.length !== length) {
      const found =
        data.length === 0 ? "no memory (it was transferred, or is empty)" : `${data.length} elements`;
      throw new RangeError(`${what} ${showShape(shape)} has ${found}, expected ${length} elements`);
    }
    this.dtype = dtype;
    this.shape = [...shape];
    this.data = data;
    this.start = data.byteOffset;
    this.end = data.byteOffset + data.byteLength;
    const known = loansOf.get(buffer);
    const loans = known ?? new Loans(buffer);
    this.loans = loans;
    if (known) return;
    loansOf.set(buffer, loans);
    guardRetractable(buffer, () => loans.reads.length + loans.writes.length > 0);
  }

  /** Whether the tensor is still the one that was checked. */
  isOf({ dtype, shape, data }: HostTensor): boolean {
    if (data !== this.data || data.byteLength !== this.end - this.start || dtype !== this.dtype) return false;
    if (isRetracted(data.buffer)) return false;
    if (shape.length !== this.shape.length) return false;
    for (let axis = 0; axis < shape.length; axis++) if (shape[axis] !== this.shape[axis]) return false;
    return true;
  }

  /** Lends the memory for reading. @returns false when it is being written */
  read(): boolean {
    if (overlaps(this, this.loans.writes)) return false;
    this.loans.reads.push(this);
    return true;
  }

  /** Lends the memory for writing. @returns false when it is being read or written */
  write(): boolean {
    if (overlaps(this, this.loans.writes) || overlaps(this, this.loans.reads)) return false;
    this.loans.writes.push(this);
    return true;
  }

  endRead(): void {
    removeOne(this.loans.reads, this);
  }

  endWrite(): void {
    removeOne(this.loans.writes, this);
  }
}

/** @throws TypeError for memory that may shrink; RangeError for memory that was transferred or given back */
function requireFixed(buffer: ArrayBuffer, what: string): void {
  if (buffer.resizable && !hasOwnResize(buffer))
    throw new TypeError(`${what} is in a resizable ArrayBuffer, expected one of fixed size`);
  // Undefined in Node 20, where the length of a detached tensor gives it away.
  if (buffer.detached) throw new RangeError(`${what} has no memory: it was transferred`);
  if (isRetracted(buffer)) throw new RangeError(`${what} has no memory: it waits on the disk`);
}

function overlaps({ start, end }: Stretch, others: readonly Stretch[]): boolean {
  for (const other of others) if (Math.max(start, other.start) < Math.min(end, other.end)) return true;
  return false;
}

/** Searches from the end: loans mostly end in reverse order. */
function removeOne(list: Stretch[], one: Stretch): void {
  const place = list.lastIndexOf(one);
  const last = list.pop()!;
  if (place < list.length) list[place] = last;
}
