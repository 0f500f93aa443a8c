/**
 * @file A source that checks tensors when they are first read, and reports NaN and infinity.
 *
 * No file is read for the check alone; it takes about a nanosecond per number.
 */
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { WeightSource } from "./base-model.ts";

/** Shorter pieces, such as rows of an embedding, are checked every time instead of being remembered. */
const REMEMBERED_LENGTH = 4096;
/** Bits of the exponent of 16-bit floats, all set in NaN and infinity. */
const EXPONENTS: Readonly<Record<string, number>> = { float16: 0x7c00, bfloat16: 0x7f80 };

/** Counts values that are NaN or infinite. */
export function countNonFinite(values: Float32Array): number {
  let sum = 0;
  // x - x is 0 for finite numbers, and NaN for NaN and infinity.
  for (let i = 0; i < values.length; i++) sum += values[i]! - values[i]!;
  if (sum === 0) return 0;
  return values.reduce((count, value) => count + (Number.isFinite(value) ? 0 : 1), 0);
}

function countInStored({ planes }: StoredTensor): number {
  const { data } = planes;
  if (data?.dtype === "float32") return countNonFinite(data.data as Float32Array);
  const exponent = EXPONENTS[data?.dtype ?? ""];
  if (data === undefined || exponent === undefined) return 0; // Blocks with such a scale are refused.
  let count = 0;
  for (const bits of data.data as Uint16Array) if ((bits & exponent) === exponent) count++;
  return count;
}

/** Words the note about a tensor that contains NaN or infinity. `path` is that of its file or folder. */
export function nonFiniteNote(path: string, name: string, count: number): string {
  return `Tensor "${name}" of "${path}" contains ${count} values that are NaN or infinite: results computed with it are meaningless`;
}

/** Wraps `source`; calls `tell` once for each tensor that contains NaN or infinity. */
export function watchNumbers(path: string, source: WeightSource, tell: (note: string) => void): WeightSource {
  const seen = new Set<string>();
  const told = new Set<string>();
  const report = (name: string, count: number): void => {
    if (count === 0 || told.has(name)) return;
    told.add(name);
    tell(nonFiniteNote(path, name, count));
  };
  const isNew = (key: string): boolean => !seen.has(key) && seen.add(key) !== undefined;
  const { operands } = source;
  return {
    // Operands of a faulty tensor are not kept, so that a later run reads the tensor and reports it again.
    operands: operands && {
      find: (name, keptAs, specs) => operands.find(name, keptAs, specs),
      add: (name, keptAs, made) => told.has(name) || operands.add(name, keptAs, made),
      save: () => operands.save(),
    },
    storageOf: (name) => source.storageOf(name),
    groupSizeOf: (name) => source.groupSizeOf(name),
    async stored(name, memory) {
      const stored = await source.stored(name, memory);
      if (isNew(name)) report(name, countInStored(stored));
      return stored;
    },
    view(name): HostTensor<"float32"> | null {
      const view = source.view(name);
      if (view && isNew(name)) report(name, countNonFinite(view.data));
      return view;
    },
    async readInto(name, into, start = 0) {
      await source.readInto(name, into, start);
      if (into.length < REMEMBERED_LENGTH || isNew(`${name} ${start} ${into.length}`))
        report(name, countNonFinite(into));
    },
  };
}
