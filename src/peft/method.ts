/**
 * @file The contract of a fine-tuning method: what is trained and how a projection is built around its frozen weight.
 *
 * Freezing, counting, saving, loading, merging, batching and combining are written once, outside. What a method cannot do
 * it says by a word, so no member is missing. Adding a method: a file and a line in `methods.ts`.
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

/** What every method says of itself. `O`: its options as a user gives them. */
interface Description<O> {
  readonly name: string;
  /** Where it comes from; `arxiv` is a number such as 2106.09685, or "none". */
  readonly paper: { readonly title: string; readonly arxiv: string };
  /**
   * Peak learning rate of AdamW that suits it on a model of `REFERENCE_WIDTH` (train/settings/learning-rate); a function
   * where options decide the size of what is trained.
   */
  readonly learningRate: number | ((options: O) => number);
  /** The only description of the options: defaults, flags, validation and documentation derive from it. */
  readonly options: z.ZodType<O>;
}

/** A method that trains tensors of the base itself, whatever the model's modules are. */
export interface BaseMethod<O = unknown> extends Description<O> {
  readonly kind: "base";
  readonly trains: "all" | readonly TensorRole[];
  /** Tokens whose rows of the embedding, or of the head, are trained alone. */
  trainedTokens(options: O): TrainedTokens;
  /** An ordinary model, or an adapter folder with whole tensors of the base. */
  readonly result: "model" | ConfigFile<O, never>;
  readonly batch: "not-batchable" | BatchRule<unknown>;
}

/**
 * A method that puts something around projections. `S`: the options of one site, what remains of `O` once patterns have
 * been applied to the site's path; sites with equal `S` and sizes share one program.
 */
export interface AdapterMethod<O = unknown, S = unknown> extends Description<O> {
  readonly kind: "adapter";
  readonly targets: MethodTargets<O>;
  /** Gives the options of each site. What it returns throws a UsageError where the method cannot sit. */
  configure(options: O): (place: SitePlace) => S;
  readonly trained: TrainedTensors<S>;
  readonly frozen: FrozenTensors<O, S>;
  /** Builds the adapted projection of x [..., in]. */
  adapt(site: SiteGraph, x: Value, values: SiteValues, options: S): Value;
  /**
   * Whether `adapt` computes a matrix of the weight's size while text is written, however few tokens there are: such an
   * adapter is better merged before.
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

/** Where the method sits. */
export interface MethodTargets<O> {
  /** Modules that are adapted when the user names none: every projection of the blocks, or those of some roles. */
  readonly roles: "all-linear" | readonly SiteRole[];
  /** Whether the method can sit on the residual stream, where `adapt` has no weight and nothing can be merged. */
  readonly residual: boolean;
  /** Modules that are trained whole beside the adapter, by name or path; null: what the model is for decides. */
  modulesToSave(options: O): readonly string[] | null;
  /** Biases of the base that are trained beside the adapter. */
  trainedBiases(options: O): TrainedBiases;
  /** Tokens whose rows of the embedding, or of the head, are trained beside the adapter. */
  trainedTokens(options: O): TrainedTokens;
  /** Parameters that get an adapter as PEFT's `target_parameters` do. */
  readonly parameters: "modules-only" | ParameterTargets<O>;
}

/** Adapters on parameters: on the weight of a module, which is as one on the module, and on whole stacks of matrices. */
export interface ParameterTargets<O> {
  /** Ends of the parameters' paths: "gate_up_proj" of a stack, "gate.weight" of a module. */
  names(options: O): readonly string[];
  /** Cuts the tensors of a stack into those of its matrices, expert by expert, each as of a site of its own. */
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
  /** Fills the tensors of a site with their first values; for fresh adapters only. */
  init(site: SiteStart, options: S, random: Random): void | Promise<void>;
  /** Why a fresh adapter already changes what the model computes, if it does. */
  readonly initialChange: "none" | { readonly because: string };
}

/** The frozen tensors of a site beside the base's own. */
export interface FrozenTensors<O, S> {
  specs(site: SiteSpec, options: S): readonly FrozenSpec[];
  /**
   * Makes those that no file holds, by suffix, from the base; for fresh adapters and for those that are read. Trained
   * tensors whose start comes of the same work are filled at once.
   */
  freeze(site: SiteStart, options: S): Frozen | Promise<Frozen>;
  /** What programs that write text bind, so that `adapt` gets it instead of a frozen tensor; null: all is fed as it is. */
  bound(site: SiteSpec, options: S): BoundForm | null;
  /** Makes those that all sites share, by suffix; of the options alone, for fresh adapters and where files leave them out. */
  share(sites: readonly SiteSpec[], options: O): SiteTensors;
}

/** No frozen tensors; the rest of a rule that has only some of them. */
export const NOTHING_FROZEN: FrozenTensors<unknown, unknown> = {
  specs: () => [],
  freeze: () => ({}),
  bound: () => null,
  share: () => ({}),
};

/** Cuts the tensors of a stack with an adapter into those of its matrices, expert by expert. */
export function splitStack(
  method: AdapterMethod,
  values: SiteValues,
  stack: SiteSpec,
): readonly SiteValues[] {
  const { parameters } = method.targets;
  assertInternal(parameters !== "modules-only", `method ${method.name} has no adapters on stacks`);
  return parameters.split(values, stack);
}

/** How adapters of a method stand in a configuration; null: its result is an ordinary model. */
export function configFileOf(method: Method): ConfigFile<unknown, unknown> | null {
  if (method.kind === "adapter") return method.file;
  return method.result === "model" ? null : method.result;
}

/** Whether what it trains becomes an ordinary model, and no adapter. */
export function makesModel(method: Method): boolean {
  return configFileOf(method) === null;
}

/** Experts that are modules of their own here; transformers has those of a layer as one tensor. */
const SINGLE_EXPERT = /\.experts\.\d+\./;

/** What decides which programs read an adapter. */
interface Written {
  readonly method: Method;
  readonly options: unknown;
  /** By path. */
  readonly sites: ReadonlyMap<string, unknown>;
}

/**
 * Which program reads an adapter's folder, which trains these tensors of the base too: PEFT has none of a single expert. Null: it is a
 * model's. `takes`: which adapters PEFT takes on a module.
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

/** Whether an adapter belongs to the codes of a base, and merges into them. */
export function keepsCodes(method: Method): boolean {
  return (
    method.kind === "adapter" && method.merge !== "not-mergeable" && method.merge.stored !== "requantized"
  );
}

/** Modules that are trained whole beside an adapter; null: what the model is for decides. */
export function modulesToSave(method: Method, options: unknown): readonly string[] | null {
  return method.kind === "adapter" ? method.targets.modulesToSave(options) : [];
}

/** Biases of the base that are trained beside an adapter. */
export function trainedBiases(method: Method, options: unknown): TrainedBiases {
  return method.kind === "adapter" ? method.targets.trainedBiases(options) : "none";
}

/** Tokens whose rows are trained, beside an adapter or alone. */
export function trainedTokens(method: Method, options: unknown): TrainedTokens {
  return (method.kind === "adapter" ? method.targets : method).trainedTokens(options);
}

/** Whether a method trains a tensor of the base itself. */
export function trainsRole(method: Method, role: TensorRole): boolean {
  if (method.kind !== "base") return false;
  return method.trains === "all" ? role !== "buffer" : method.trains.includes(role);
}
