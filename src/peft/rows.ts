/**
 * @file Several adapters of one method side by side, so that each row of a batch has its own.
 *
 * The tensors of the adapters lie behind one another, [N, ...], and the programs pick those of each row, so a batch of
 * any mixture runs as one. A row without an adapter has one that changes nothing.
 */
import { numElements } from "../graph/shape.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Engine } from "../runtime/engine.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import type { AdapterView } from "./adapter-view.ts";
import type { Adapter } from "./attach.ts";
import type { RowForm } from "./method.ts";
import { type RowMember, type RowPlace, formRows } from "./row-forms.ts";
import { commonTensors, formsAt, placesOf, requireAlike } from "./row-likeness.ts";
import { refuseOwn } from "./row-refusal.ts";
import { type StackedPlace, viewRows } from "./row-view.ts";

/**
 * Puts adapters, and nothing (null), side by side for passes that choose among them by the input `rows`. What is trained is
 * copied. A site that only some have is there for all.
 * @throws UsageError "usage/adapter" when they cannot share a batch.
 */
export async function stackAdapters(
  engine: Engine,
  base: BaseModel,
  adapters: readonly (Adapter | null)[],
): Promise<AdapterView> {
  const members: (RowMember | null)[] = [];
  for (const adapter of adapters) members.push(adapter && (await formRows(engine, base, adapter)));
  const batch = requireAlike(members);
  const present = members.flatMap((member) => member ?? []);
  const stacked = new Map<RowPlace, StackedPlace>();
  const inputs = new Map<number | null, Record<string, HostTensor>>();
  for (const place of placesOf(present).values()) {
    // Only rows that lie as they are have vectors of their own.
    if (!place.site) refuseOwn(place.path);
    const forms = formsAt(batch, members, place);
    const suffixes = [...new Set(forms.flatMap(({ tensors }) => Object.keys(tensors)))];
    const stack = (suffix: string): HostTensor<"float32"> =>
      stackTensors(forms.map(({ tensors }) => tensors[suffix] ?? null));
    const tensors = Object.fromEntries(suffixes.map((suffix) => [suffix, stack(suffix)]));
    const { options } = forms[0] as RowForm<unknown>;
    const common = commonTensors(present, place);
    stacked.set(place, { options, tensors, common, bound: null });
    const own = inputs.get(place.layer) ?? {};
    inputs.set(place.layer, own);
    for (const [suffix, tensor] of Object.entries({ ...tensors, ...common })) {
      own[`${place.name}.${suffix}`] = tensor;
    }
  }
  return viewRows(batch, stacked, {
    inputs: (layer) => inputs.get(layer) ?? {},
    constants: () => ({}),
    areGathered: true,
  });
}

/** Lays tensors behind one another, filled up with zeros to the largest size of each axis; null is all zeros. */
function stackTensors(tensors: readonly (HostTensor<"float32"> | null)[]): HostTensor<"float32"> {
  const shapes = tensors.flatMap((tensor) => (tensor ? [tensor.shape] : []));
  const shape = (shapes[0] ?? []).map((_, axis) => Math.max(...shapes.map((s) => s[axis] as number)));
  const stacked = zeros("float32", [tensors.length, ...shape]);
  for (const [index, tensor] of tensors.entries()) {
    if (tensor) copyInto(tensor, stacked.data.subarray(index * numElements(shape)), shape);
  }
  return stacked;
}

/** Copies a tensor to the beginning of each axis of a larger one. */
export function copyInto(
  { shape: from, data }: HostTensor<"float32">,
  to: Float32Array,
  shape: readonly number[],
): void {
  const width = from.at(-1) ?? 1;
  for (let start = 0; start < data.length; start += width) {
    let [rest, place, stride] = [start / width, 0, shape.at(-1) ?? 1];
    for (let axis = from.length - 2; axis >= 0; axis--) {
      const size = from[axis] as number;
      place += (rest % size) * stride;
      stride *= shape[axis] as number;
      rest = Math.floor(rest / size);
    }
    to.set(data.subarray(start, start + width), place);
  }
}
