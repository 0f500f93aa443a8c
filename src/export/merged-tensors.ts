/**
 * @file The tensors of a model into which an adapter is merged, made one at a time, each in the kind in which it is to be
 * kept; and how much that rounding costs.
 *
 * Knows no method: one that can merge without leaving the storage says so itself, the others' weights are rounded again.
 */
import { UsageError } from "../errors.ts";
import type { TensorSpec } from "../models/sites.ts";
import type { TensorRole } from "../nn/builder.ts";
import type { BaseModel } from "../models/base-model.ts";
import { type Adapter, trainedOf } from "../peft/attach.ts";
import type { MergePlace, Merger } from "../peft/merge.ts";
import { type StorageName, writableKind } from "../quant/storages.ts";
import { type StoredTensor, dequantize, quantizeTo } from "../quant/stored-tensor.ts";
import { zeros } from "../runtime/host-tensor.ts";

/** A tensor of the merged model, by its Hugging Face name. */
export interface MergedTensor {
  readonly name: string;
  /** Rows (outputs) first. */
  readonly shape: readonly number[];
  readonly role: TensorRole;
  /** How the base keeps it. */
  readonly own: StorageName;
  /** How it is to be kept; of a changed tensor a kind that graft writes. */
  readonly storage: StorageName;
  /** Whether the adapter may change it; else, in the base's own kind, it has the base's own bytes. */
  readonly isChanged: boolean;
  /** Makes it; the caller must not change it. */
  readonly load: () => Promise<StoredTensor>;
}

/** What rounding costs: |rounded - exact| / |exact| (Euclidean) of the tensors that are not exact. */
export interface Rounding {
  readonly numTensors: number;
  readonly meanError: number;
  readonly worstError: number;
  readonly worstTensor: string | null;
  /**
   * (exact - rounded) · (exact - base) / |exact - base|² over all changed tensors, the share of the adapter's change that
   * rounding takes back: 0 for errors that fall either way, 1 where every number goes back to where it was.
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

  /** Sums up. */
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

/** Where merged tensors come from, and how they are to be kept. */
export interface MergeParts {
  readonly base: BaseModel;
  readonly adapter: Adapter;
  readonly merger: Merger;
  /** Chooses the kind of a tensor; `own` is how the base keeps it. */
  storageFor(tensor: Pick<MergedTensor, "name" | "shape" | "role">, own: StorageName): StorageName;
}

/**
 * Lists the tensors of the merged model; a head that the base shares with its embedding comes last when the adapter
 * makes it a tensor of its own.
 */
export function mergedTensors(parts: MergeParts, tally: RoundingTally): MergedTensor[] {
  const { base, merger } = parts;
  const { model } = base;
  const changed = new Set(merger.names());
  const heads = [...changed]
    .filter((name) => !model.tensors.has(name))
    .map((name): TensorSpec => ({ name, shape: merger.shapeOf(name), role: "head" }));
  return [...model.tensors.values(), ...heads].map((spec): MergedTensor => {
    const source = model.storedName(spec.name);
    const own = base.source.storageOf(source);
    const wanted = parts.storageFor(spec, own);
    const isChanged = changed.has(spec.name);
    const storage = isChanged ? writableKind(wanted) : wanted;
    return {
      ...spec,
      own,
      storage,
      isChanged,
      load: () => make(parts, { ...spec, source, own, storage, isChanged }, tally),
    };
  });
}

type Plan = Omit<MergedTensor, "load"> & {
  /** The tensor of the base from which it comes. */
  readonly source: string;
};

async function make(
  { base, adapter, merger }: MergeParts,
  { name, shape, source, own, storage, isChanged }: Plan,
  tally: RoundingTally,
): Promise<StoredTensor> {
  const kept = await base.source.stored(source);
  if (!isChanged && own === storage) return kept;
  const before = dequantize(kept);
  const exact = zeros("float32", shape).data;
  const isMerged =
    isChanged && (await merger.mergeInto(name, exact)) && exact.some((value, i) => value !== before[i]);
  if (!isMerged && own === storage) return kept;
  if (!isMerged) exact.set(before);
  const inStorage = isMerged && own === storage ? mergeInStorage(adapter, merger.placeOf(name), kept) : null;
  const rounded = inStorage ?? quantizeTo(storage, exact, shape);
  const values = dequantize(rounded);
  refuseInfinite(name, storage, exact, values);
  tally.add(name, exact, values, isMerged ? before : null);
  return rounded;
}

/** @throws UsageError "usage/adapter" for what is no number, "usage/scale" for what becomes none when it is written */
function refuseInfinite(
  name: string,
  storage: StorageName,
  exact: Float32Array,
  rounded: Float32Array,
): void {
  if (!exact.every(Number.isFinite)) {
    throw new UsageError(
      "usage/adapter",
      `Cannot merge tensor "${name}": it would hold NaN or infinity, expected numbers`,
      { hint: "Choose an earlier checkpoint of the run that made the adapter." },
    );
  }
  if (rounded.every(Number.isFinite)) return;
  throw new UsageError(
    "usage/scale",
    `Cannot write tensor "${name}" as ${storage}: a number or scale of it is too large for 16-bit floats`,
    { hint: "Choose a wider type, such as f32." },
  );
}

/** Merges a weight without leaving its storage; null where the method cannot. */
function mergeInStorage(
  adapter: Adapter,
  place: MergePlace | undefined,
  kept: StoredTensor,
): StoredTensor | null {
  if (place?.part !== "weight") return null;
  const { method } = adapter;
  const { site } = place;
  const merge = method.kind === "adapter" ? method.merge : "not-mergeable";
  if (merge === "not-mergeable" || merge.stored === "requantized") return null;
  return merge.stored(kept, trainedOf(adapter, site), site, site.options);
}
