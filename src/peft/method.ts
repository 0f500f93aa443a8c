/**
 * @file The contract of a fine-tuning method: what is trained, and how a projection is built around its frozen weight.
 *
 * Freezing, counting, saving, loading, merging, batching and combining are written once, elsewhere. A method states what it
 * cannot do by a word, so no member is optional. To add one: a file and a line in `methods.ts`.
 */
import type { z } from "zod";
import { assertInternal } from "../errors.ts";
import type { Value } from "../graph/graph.ts";
import type { PeftTakes } from "../models/config/checkpoint-rules.ts";
import type { SiteSpec } from "../models/graphs/sites.ts";
import type { SiteRole, TensorRole } from "../nn/builder.ts";
import type { LookupGraph, SiteGraph } from "../models/graphs/site-graph.ts";
import type { Random } from "../random.ts";
import type { Algebra } from "./algebra/contract.ts";
import type { ConfigFile, AdapterFile } from "./contract/adapter-file.ts";
import type { MergeRule } from "./contract/merge-rule.ts";
import type { BatchRule } from "./contract/batch-rule.ts";
import type {
  BoundForm,
  Frozen,
  FrozenSpec,
  ParameterSpec,
  SitePlace,
  SiteStart,
  SiteTensors,
  SiteValues,
} from "./sites/site.ts";
import type { TrainedTokens } from "./trained-base/trained-tokens.ts";

/** What every method states. `O`: its options as given by users. */
interface Description<O> {
  readonly name: string;
  /** Where it comes from; `arxiv` is a number such as 2106.09685, or "none". */
  readonly paper: { readonly title: string; readonly arxiv: string };
  /**
   * Suitable peak learning rate of AdamW for a model of `REFERENCE_WIDTH` (train/settings/learning-rate); a function if it
   * depends on options.
   */
  readonly learningRate: number | ((options: O) => number);
  /** The only description of the options: defaults, flags, validation and documentation derive from it. */
  readonly options: z.ZodType<O>;
}

/** A method that trains tensors of the base itself, independently of the model's modules. */
export interface BaseMethod<O = unknown> extends Description<O> {
  readonly kind: "base";
  readonly trains: "all" | readonly TensorRole[];
  /** Tokens whose rows of the embedding, or of the head, are the only ones trained. */
  trainedTokens(options: O): TrainedTokens;
  /** An ordinary model, or an adapter folder with whole tensors of the base. */
  readonly result: "model" | ConfigFile<O, never>;
  readonly batch: "not-batchable" | BatchRule<unknown>;
}

/**
 * A method that adds tensors to projections. `S`: the options of one site, derived from `O` by applying patterns to the site's
 * path; sites with equal `S` and sizes share programs.
 */
export interface AdapterMethod<O = unknown, S = unknown> extends Description<O> {
  readonly kind: "adapter";
  readonly targets: MethodTargets<O>;
  /** Returns a function that gives the options of a site, and throws a UsageError where the method cannot be placed. */
  configure(options: O): (place: SitePlace) => S;
  readonly trained: TrainedTensors<S>;
  readonly frozen: FrozenTensors<O, S>;
  /** Builds the adapted projection of x [..., in]. */
  adapt(site: SiteGraph, x: Value, values: SiteValues, options: S): Value;
  /**
   * Whether `adapt` computes a matrix of the weight's size even for few tokens; such an adapter is better merged before text is
   * generated.
   */
  materializesWeight(site: SiteSpec, options: S): boolean;
  /** Builds the adapted look-up of an embedding. */
  readonly lookup: "not-on-embeddings" | ((site: LookupGraph, values: SiteValues, options: S) => Value);
  readonly batch: "not-batchable" | BatchRule<S>;
  readonly merge: "not-mergeable" | MergeRule<S>;
  /** How adapters of the method are added and negated. */
  readonly algebra: "not-composable" | Algebra<O, S>;
  readonly file: AdapterFile<O, S>;
}

/** A fine-tuning method. */
export type Method<O = unknown, S = unknown> = AdapterMethod<O, S> | BaseMethod<O>;

/** Where the method can be placed. */
export interface MethodTargets<O> {
  /** Modules that are adapted by default: every projection of the blocks, or those of some roles. */
  readonly roles: "all-linear" | readonly SiteRole[];
  /** Whether the method can be placed on the residual stream, where `adapt` has no weight and nothing can be merged. */
  readonly residual: boolean;
  /** Modules that are trained whole beside the adapter, by name or path; null: the model's task decides. */
  modulesToSave(options: O): readonly string[] | null;
  /** Biases of the base that are trained beside the adapter. */
  trainedBiases(options: O): TrainedBiases;
  /** Tokens whose rows of the embedding, or of the head, are trained beside the adapter. */
  trainedTokens(options: O): TrainedTokens;
  /** Parameters that get an adapter, like PEFT's `target_parameters`. */
  readonly parameters: "modules-only" | ParameterTargets<O>;
}

/** Adapters on parameters: on the weight of a module, which is equivalent to the module, and on whole stacks of matrices. */
export interface ParameterTargets<O> {
  /** Path suffixes of the parameters: "gate_up_proj" of a stack, "gate.weight" of a module. */
  names(options: O): readonly string[];
  /** Splits the tensors of a stack into those of its matrices, expert by expert, each as for a site of its own. */
  split(values: SiteValues, stack: SiteSpec): readonly SiteValues[];
}

/** Which biases of the base are trained: none, those of the modules with an adapter, or all. */
type TrainedBiases = "none" | "adapted" | "all";

/** Every projection, and nothing else. */
export const ALL_LINEAR: MethodTargets<unknown> = {
  roles: "all-linear",
  residual: false,
  modulesToSave: () => [],
  trainedBiases: () => "none",
  trainedTokens: () => [],
  parameters: "modules-only",
};

/** The trained tensors of a site. */
export interface TrainedTensors<S> {
  specs(site: SiteSpec, options: S): readonly ParameterSpec[];
  /** Fills the tensors of a site with initial values; only for fresh adapters. */
  init(site: SiteStart, options: S, random: Random): void | Promise<void>;
  /** Whether and why a fresh adapter already changes the model's output. */
  readonly initialChange: "none" | { readonly because: string };
}

/** The frozen tensors of a site beside the base's own. */
export interface FrozenTensors<O, S> {
  specs(site: SiteSpec, options: S): readonly FrozenSpec[];
  /**
   * Makes those that files do not hold, by suffix, from the base; for fresh adapters and for those read from files. It also fills
   * trained tensors whose initial values result from the same computation.
   */
  freeze(site: SiteStart, options: S): Frozen | Promise<Frozen>;
  /**
   * The form of a frozen tensor that programs that write text bind; `adapt` gets it instead of the tensor. Null: all tensors are
   * fed unchanged.
   */
  bound(site: SiteSpec, options: S): BoundForm | null;
  /** Makes those that all sites share, by suffix, from the options only; for fresh adapters and where files leave them out. */
  share(sites: readonly SiteSpec[], options: O): SiteTensors;
}

/** A rule without frozen tensors; also the defaults for rules with some. */
export const NOTHING_FROZEN: FrozenTensors<unknown, unknown> = {
  specs: () => [],
  freeze: () => ({}),
  bound: () => null,
  share: () => ({}),
};

/** Splits the tensors of a stack with an adapter into those of its matrices, expert by expert. */
export function splitStack(
  method: AdapterMethod,
  values: SiteValues,
  stack: SiteSpec,
): readonly SiteValues[] {
  const { parameters } = method.targets;
  assertInternal(parameters !== "modules-only", `method ${method.name} has no adapters on stacks`);
  return parameters.split(values, stack);
}

/** Returns how a method's adapters are described in a configuration; null: its result is an ordinary model. */
export function configFileOf(method: Method): ConfigFile<unknown, unknown> | null {
  if (method.kind === "adapter") return method.file;
  return method.result === "model" ? null : method.result;
}

/** Whether the result of a method is an ordinary model rather than an adapter. */
export function makesModel(method: Method): boolean {
  return configFileOf(method) === null;
}

/** Experts that are separate modules in graft; transformers has all experts of a layer in one tensor. */
const SINGLE_EXPERT = /\.experts\.\d+\./;

/** The facts that decide which programs can read an adapter. */
interface Written {
  readonly method: Method;
  readonly options: unknown;
  /** By path. */
  readonly sites: ReadonlyMap<string, unknown>;
}

/**
 * Tells which program can read the folder of an adapter that also trains the tensors `trained` of the base; PEFT has none of a
 * single expert. Null: the folder is a model. `takes`: the adapters that PEFT supports on a module.
 */
export function programThatReads(
  { method, options, sites }: Written,
  trained: readonly string[],
  takes: (path: string) => PeftTakes,
): "peft" | "graft" | null {
  const file = configFileOf(method);
  if (file === null) return null;
  if (trained.some((name) => SINGLE_EXPERT.test(name))) return "graft";
  return file.readBy(options, [...sites.keys()], takes);
}

/** Whether an adapter on these sites is better merged before text is generated. */
export function materializesWeight(
  method: Method,
  sites: Iterable<{ readonly spec: SiteSpec; readonly options: unknown }>,
): boolean {
  if (method.kind === "base") return false;
  return [...sites].some(({ spec, options }) => method.materializesWeight(spec, options));
}

/** Whether an adapter belongs to the codes of a base and is merged without changing them. */
export function keepsCodes(method: Method): boolean {
  return (
    method.kind === "adapter" && method.merge !== "not-mergeable" && method.merge.stored !== "requantized"
  );
}

/** Modules that are trained whole beside an adapter; null: the model's task decides. */
export function modulesToSave(method: Method, options: unknown): readonly string[] | null {
  return method.kind === "adapter" ? method.targets.modulesToSave(options) : [];
}

/** Biases of the base that are trained beside an adapter. */
export function trainedBiases(method: Method, options: unknown): TrainedBiases {
  return method.kind === "adapter" ? method.targets.trainedBiases(options) : "none";
}

/** Tokens whose rows are trained, with or without an adapter. */
export function trainedTokens(method: Method, options: unknown): TrainedTokens {
  return (method.kind === "adapter" ? method.targets : method).trainedTokens(options);
}

/** Whether a method trains a tensor of the base itself. */
export function trainsRole(method: Method, role: TensorRole): boolean {
  if (method.kind !== "base") return false;
  return method.trains === "all" ? role !== "buffer" : method.trains.includes(role);
}
