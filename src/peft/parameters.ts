/**
 * @file What is trained: parameters that know what they belong to, in groups of one block each and one for the rest.
 *
 * The numbers of a group lie side by side in one vector, so that the optimizer, clipping and checkpoints handle a group
 * at a time and never need all of them at once.
 */
import type { ModelTensor } from "../models/sites.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { numElements } from "../graph/shape.ts";
import type { AdaptedSite, Layout } from "./layout.ts";

/** What a parameter belongs to: it is one of a site's tensors, or takes the place of a tensor of the base. */
export type ParameterOwner =
  | { readonly kind: "site"; readonly site: AdaptedSite; readonly suffix: string }
  | { readonly kind: "base"; readonly tensor: ModelTensor };

/** One trainable tensor. */
export interface Parameter {
  /** Its name in files: "model.layers.0.self_attn.q_proj.lora_A.weight", or that of the base's tensor. */
  readonly name: string;
  /** Its name among the inputs of its layer's programs: the path inside the block; outside the blocks, `name`. */
  readonly input: string;
  readonly shape: readonly number[];
  /** Null outside the blocks. */
  readonly layer: number | null;
  readonly owner: ParameterOwner;
  /** Where it begins in the vector of its group. */
  readonly offset: number;
  readonly length: number;
  /** Its numbers, a view into those of its group. */
  readonly value: HostTensor<"float32">;
}

/** The parameters of one block, or (`layer` null) those outside the blocks. */
export interface ParameterGroup {
  readonly layer: number | null;
  readonly parameters: readonly Parameter[];
  /** Their numbers, in their order. */
  readonly values: Float32Array;
}

type ParameterPlan = Pick<Parameter, "name" | "input" | "shape" | "layer" | "owner">;

/** All that is trained. */
export interface Parameters {
  /** Tensors of the base first, then site by site. */
  readonly parameters: readonly Parameter[];
  /** By rising layer, that outside the blocks last; none is empty. */
  readonly groups: readonly ParameterGroup[];
}

/** Makes the parameters of a layout, all zero. */
export function makeParameters({ trainedBase, sites }: Pick<Layout, "trainedBase" | "sites">): Parameters {
  const plans = [
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
  const layers = [...new Set(plans.map(({ layer }) => layer))].sort(
    (a, b) => (a ?? Infinity) - (b ?? Infinity),
  );
  const groups = new Map(layers.map((layer) => [layer, makeGroup(layer, plans)]));
  const parameters = plans.map((plan): Parameter => {
    const { values, parameters: placed } = groups.get(plan.layer) as ReturnType<typeof makeGroup>;
    const last = placed.at(-1);
    const offset = last ? last.offset + last.length : 0;
    const length = numElements(plan.shape);
    const value = hostTensor("float32", plan.shape, values.subarray(offset, offset + length));
    const parameter = { ...plan, offset, length, value };
    placed.push(parameter);
    return parameter;
  });
  return { parameters, groups: [...groups.values()] };
}

/** Makes the vector of a group, whose parameters are still to be placed in it. */
function makeGroup(
  layer: number | null,
  plans: readonly ParameterPlan[],
): ParameterGroup & { readonly parameters: Parameter[] } {
  const own = plans.filter((plan) => plan.layer === layer);
  const length = own.reduce((sum, { shape }) => sum + numElements(shape), 0);
  return { layer, parameters: [], values: new Float32Array(length) };
}
