/**
 * @file The contract of a fine-tuning method: what is trained and how a projection is built around its frozen weight.
 *
 * Freezing, counting, saving, loading and merging are written once, outside. Adding a method: a file and a line in
 * `methods.ts`.
 */
import type { z } from "zod";
import type { Value } from "../graph/graph.ts";
import type { SiteSpec, TensorSpec } from "../models/architecture.ts";
import type { SiteGraph } from "../models/block-graph.ts";
import type { Random } from "../random.ts";

/** One trainable tensor of a site. */
export interface ParameterSpec {
  /** What follows the module's path in an adapter file: "lora_A.weight". */
  readonly suffix: string;
  readonly shape: readonly number[];
  /** Fills the start values, in place; the array comes as zeros. */
  init(values: Float32Array, random: Random): void;
}

/** Tensors of one site, by suffix. */
export type SiteParameters = Readonly<Record<string, Value>>;

/** Weight and bias of a projection, in a graph. */
export interface SiteWeights {
  /** [out, in] */
  readonly weight: Value;
  /** [out] */
  readonly bias: Value | null;
}

/**
 * A method. `O`: its options as a user gives them. `S`: the options of one site, what remains of `O` once patterns have
 * been applied to the site's path; sites with equal `S` and sizes share one program.
 */
export interface Method<O = unknown, S = unknown> {
  readonly name: string;
  /** `peft_type` of an adapter file; "none" when the result is an ordinary model. */
  readonly peftType: string;
  readonly paper: { readonly title: string; readonly arxiv: string };
  /** The only description of the options: defaults, flags, validation and documentation derive from it. */
  readonly options: z.ZodType<O>;
  /** Modules that are adapted when the user names none, for a family; "all-linear" or suffixes. */
  defaultTargets(modelType: string): "all-linear" | readonly string[];
  /** Whether the method trains a tensor of the base itself. */
  trainsBase(tensor: TensorSpec): boolean;
  /** The options of one site. `path`: full module path. */
  configure(options: O, path: string): S;
  /** Trainable tensors of a site. */
  parameters(site: SiteSpec, options: S): readonly ParameterSpec[];
  /** Builds the adapted projection of x [..., in]. */
  adapt(site: SiteGraph, x: Value, parameters: SiteParameters, options: S): Value;
  /** Builds the merged weights, or says that there are none. */
  readonly merge:
    | "not-mergeable"
    | ((base: SiteWeights, parameters: SiteParameters, site: SiteSpec, options: S) => SiteWeights);
  /** Keys of `adapter_config.json` that say the options. */
  toPeft(options: O, targets: readonly string[]): Readonly<Record<string, unknown>>;
  /** The options of an `adapter_config.json`; keys it reads are removed from `raw`. */
  fromPeft(raw: Record<string, unknown>): unknown;
}

/** Forgets the types of a method's options, for lists; the schema still guards them. */
export function defineMethod<O, S>(method: Method<O, S>): Method {
  return method as unknown as Method;
}
