/**
 * @file The tensors of a model with a merged adapter, made one at a time, each in the kind in which it will be stored.
 *
 * No method is named here: a method that can merge without changing the storage says so itself; for all others, weights are
 * rounded again.
 */
import { assertInternal, UsageError } from "../../errors.ts";
import type { TensorSpec } from "../../models/graphs/sites.ts";
import type { TensorRole } from "../../nn/builder.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { Merger } from "../../peft/merge.ts";
import type { MergePlace } from "../../peft/merge-program.ts";
import type { ExactKind, StoredMerge } from "../../peft/contract/merge-rule.ts";
import { type StorageName, writableKind } from "../../quant/storages.ts";
import { type StoredTensor, dequantize, quantizeTo } from "../../quant/stored-tensor.ts";
import { zeros } from "../../runtime/host-tensor.ts";
import type { RoundingTally } from "./rounding-tally.ts";

/** A tensor of the merged model, by its Hugging Face name. */
export interface MergedTensor {
  readonly name: string;
  /** Rows (outputs) first. */
  readonly shape: readonly number[];
  readonly role: TensorRole;
  /** The kind in which the base stores it. */
  readonly own: StorageName;
  /** The kind in which it will be stored; for a changed tensor one that graft can write. */
  readonly storage: StorageName;
  /** Number of columns that share a scale, for a kind that lets each tensor choose; otherwise null. */
  readonly groupSize: number | null;
  /** Whether the adapter may change it; if not, and in the base's own kind, it keeps the base's bytes. */
  readonly isChanged: boolean;
  /** Makes the tensor; the caller must not change it. */
  readonly load: () => Promise<StoredTensor>;
}

/** What is known of a tensor before its kind is chosen. */
type PlannedTensor = Pick<MergedTensor, "name" | "shape" | "role" | "own" | "isChanged">;

/** Where merged tensors come from, and how they will be stored. */
export interface MergeParts {
  readonly base: BaseModel;
  readonly adapter: Adapter;
  readonly merger: Merger;
  /** Chooses the kind of a tensor; `exact`: kinds that represent the merged tensor without rounding it again. */
  storageFor(tensor: PlannedTensor, exact: readonly StorageName[]): StorageName;
}

/**
 * Lists the tensors of the merged model. A head that the base shares with its embedding comes last if the adapter makes it a
 * separate tensor.
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
    const isChanged = changed.has(spec.name);
    const exact = isChanged ? exactKinds(parts, spec.name) : [];
    const planned = { ...spec, own, isChanged };
    const wanted = parts.storageFor(
      planned,
      exact.map((kind) => kind.storage),
    );
    const found = exact.find((kind) => kind.storage === wanted);
    const storage = isChanged && !found ? writableKind(wanted) : wanted;
    const ownGroups = storage === own ? base.source.groupSizeOf(source) : null;
    const plan = { ...planned, source, storage, isExact: found !== undefined };
    return {
      ...planned,
      storage,
      groupSize: (found ? found.groupSize : ownGroups) ?? null,
      load: () => make(parts, plan, tally),
    };
  });
}

type Plan = Omit<MergedTensor, "load" | "groupSize"> & {
  /** Whether its kind represents the merged tensor without rounding it again. */
  readonly isExact: boolean;
  /** Name of the base's tensor that it is made from. */
  readonly source: string;
};

async function make(
  { base, adapter, merger }: MergeParts,
  { name, shape, source, own, storage, isChanged, isExact }: Plan,
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
  const rounded = isExact
    ? mergeInStorage(adapter, merger.placeOf(name)!, storage, kept)
    : quantizeTo(storage, exact, shape);
  const values = dequantize(rounded);
  refuseInfinite(name, storage, exact, values);
  tally.add(name, exact, values, isMerged ? before : null);
  return rounded;
}

/** @throws UsageError "usage/adapter" for numbers that are not finite, "usage/scale" for numbers that rounding makes infinite */
function refuseInfinite(
  name: string,
  storage: StorageName,
  exact: Float32Array,
  rounded: Float32Array,
): void {
  if (!exact.every(Number.isFinite)) {
    throw new UsageError(
      "usage/adapter",
      `Cannot merge tensor "${name}": it would contain NaN or infinity, expected numbers`,
      { hint: "Choose an earlier checkpoint of the run that made the adapter." },
    );
  }
  if (rounded.every(Number.isFinite)) return;
  throw new UsageError(
    "usage/scale",
    `Cannot write tensor "${name}" as ${storage}: one of its numbers or scales is too large for 16-bit floats`,
    { hint: "Choose a wider type, such as f32." },
  );
}

/** How the method merges without rounding a weight again; null: it cannot. */
function storedMergeOf({ method }: Adapter, place: MergePlace | undefined): StoredMerge<unknown> | null {
  if (place?.part !== "weight" || method.kind === "base" || method.merge === "not-mergeable") return null;
  return method.merge.stored === "requantized" ? null : method.merge.stored;
}

function exactKinds({ adapter, merger }: MergeParts, name: string): readonly ExactKind[] {
  const place = merger.placeOf(name);
  const merge = storedMergeOf(adapter, place);
  return merge && place ? merge.kinds(place.site, place.site.options) : [];
}

function mergeInStorage(
  adapter: Adapter,
  place: MergePlace,
  storage: StorageName,
  kept: StoredTensor,
): StoredTensor {
  const merge = storedMergeOf(adapter, place);
  assertInternal(merge, `${place.site.path} has no kind that is exact`);
  const { site } = place;
  return merge.make(storage, kept, { site, tensors: adapter.tensorsOf(site), options: site.options });
}
