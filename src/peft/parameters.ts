/**
 * @file The trained parameters with their owners, in one group for each block and one for the rest.
 *
 * The values of a group are contiguous in one vector, so that the optimizer, clipping and checkpoints handle one group at a time
 * and never need all of them at once. Code that reads or writes values holds their memory meanwhile.
 */
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { RESIDENT, type VectorMemory } from "../runtime/memory/vector-memory.ts";
import { numElements } from "../graph/shape.ts";
import type { AdaptedSite, Layout } from "./layout.ts";
import type { TrainedTensor } from "./trained-base/trained-rows.ts";

/** The owner of a parameter: a site, which has it among its tensors, or the base, in which it replaces a tensor or rows of one. */
type ParameterOwner =
  | { readonly kind: "site"; readonly site: AdaptedSite; readonly suffix: string }
  | { readonly kind: "base"; readonly tensor: TrainedTensor };

/** One trainable tensor. */
export interface Parameter {
  /** Its name in files: "model.layers.0.self_attn.q_proj.lora_A.weight", or the name of the base's tensor. */
  readonly name: string;
  /** Its input name in its layer's programs: the path inside the block; outside the blocks, `name`. */
  readonly input: string;
  readonly shape: readonly number[];
  /** Null outside the blocks. */
  readonly layer: number | null;
  readonly owner: ParameterOwner;
  /** Its offset in the vector of its group. */
  readonly offset: number;
  readonly length: number;
  /** Its values, a view into those of its group. */
  readonly value: HostTensor<"float32">;
}

/** The parameters of one block, or (`layer` null) those outside the blocks. */
export interface ParameterGroup {
  readonly layer: number | null;
  readonly parameters: readonly Parameter[];
  /** Their values, in order. */
  readonly values: Float32Array;
}

/** A parameter without values yet. */
type ParameterPlan = Pick<Parameter, "name" | "input" | "shape" | "layer" | "owner">;

/** All that is trained. */
export interface Parameters {
  /** Tensors of the base first, then site by site. */
  readonly parameters: readonly Parameter[];
  /** Groups in the order of layers; the one outside the blocks is last. None is empty. */
  readonly groups: readonly ParameterGroup[];
  /** The memory of their values, which must be held while they are read or written. */
  readonly memory: VectorMemory;
}

/** Lists the parameters of a layout: tensors of the base first, then site by site. */
export function listParameters({
  trainedBase,
  sites,
}: Pick<Layout, "trainedBase" | "sites">): ParameterPlan[] {
  return [
    ...trainedBase.map((tensor): ParameterPlan => {
      const { name, path, shape, layer } = tensor;
      return { name, input: path, shape, layer, owner: { kind: "base", tensor } };
    }),
    ...[...sites.values()].flatMap((site) =>
      site.parameters.map(({ suffix, shape }): ParameterPlan => {
        const { path, layer, spec } = site;
        const owner = { kind: "site", site, suffix } as const;
        return { name: `${path}.${suffix}`, input: `${spec.name}.${suffix}`, shape, layer, owner };
      }),
    ),
  ];
}

/** Makes the parameters of a layout, all zero, in the given memory. */
export function makeParameters(
  layout: Pick<Layout, "trainedBase" | "sites">,
  memory: VectorMemory = RESIDENT,
): Parameters {
  const plans = listParameters(layout);
  const layers = [...new Set(plans.map(({ layer }) => layer))].sort(
    (a, b) => (a ?? Infinity) - (b ?? Infinity),
  );
  const made = new Map<ParameterPlan, Parameter>();
  const groups = layers.map((layer) => {
    const own = plans.filter((plan) => plan.layer === layer);
    const numbers = own.reduce((sum, { shape }) => sum + numElements(shape), 0);
    const spec = {
      name: `values of ${groupName(layer)}`,
      sizeBytes: numbers * Float32Array.BYTES_PER_ELEMENT,
    };
    return memory.make(spec, (buffer): ParameterGroup => {
      const values = new Float32Array(buffer, 0, numbers);
      let offset = 0;
      for (const plan of own) {
        const length = numElements(plan.shape);
        const value = hostTensor("float32", plan.shape, values.subarray(offset, offset + length));
        made.set(plan, { ...plan, offset, length, value });
        offset += length;
      }
      return { layer, parameters: own.map((plan) => made.get(plan)!), values };
    });
  });
  return { parameters: plans.map((plan) => made.get(plan)!), groups, memory };
}

/** The name of a layer's parameters in messages. */
export function groupName(layer: number | null): string {
  return layer === null ? "what is outside the blocks" : `block ${layer}`;
}

/** Number of values of a group, whether or not they are in memory. */
export function lengthOf({
  parameters,
}: {
  readonly parameters: readonly { readonly offset: number; readonly length: number }[];
}): number {
  const last = parameters.at(-1);
  return last ? last.offset + last.length : 0;
}
