/**
 * @file The contract of a fine-tuning method: what is trained and how a projection is built around its frozen weight.
 *
 * Freezing, counting, saving, loading, merging, batching and combining are written once, outside. What a method cannot do
 * it says by a word, so no member is missing. Adding a method: a file and a line in `methods.ts`.
 */
import type { z } from "zod";
import type { Value } from "../graph/graph.ts";
import type { SiteSpec } from "../models/graphs/sites.ts";
import type { SiteRole, TensorRole } from "../nn/builder.ts";
import type { LookupGraph, SiteGraph } from "../models/graphs/site-graph.ts";
import type { StoredTensor } from "../quant/stored-tensor.ts";
import type { StorageName } from "../quant/storages.ts";
import type { Random } from "../random.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { Algebra } from "./algebra/contract.ts";
import type {
  BoundForm,
  Frozen,
  FrozenSpec,
  ParameterSpec,
  SitePlace,
  SiteStart,
  SiteTensors,
  SiteValues,
  SiteWeights,
} from "./sites/site.ts";

/** What every method says of itself. `O`: its options as a user gives them. */
interface Description<O> {
  readonly name: string;
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
  /** An ordinary model, or an adapter folder with whole tensors of the base. */
  readonly result: "model" | ConfigFile<O, never>;
  readonly batch: "not-batchable" | RowBatch<unknown>;
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
  readonly batch: "not-batchable" | RowBatch<S>;
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
}

/** None of the base's biases, those of the modules with an adapter, or all. */
export type TrainedBiases = "none" | "adapted" | "all";

/** Every projection, and nothing else. */
export const ALL_LINEAR: MethodTargets<unknown> = {
  roles: "all-linear",
  residual: false,
  modulesToSave: () => [],
  trainedBiases: () => "none",
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

/** What `RowBatch.adapt` takes of one adapter. Options must be the same for all adapters of a batch. */
export interface RowForm<S> {
  /** Filled up with zeros to the size of the largest, those that others lack too. */
  readonly tensors: SiteTensors;
  /** Of those that lie the other way round, [n, m] where rows have [m, n]: the factor on each of the n lines. Turned over they would be in memory twice. */
  readonly turned?: Readonly<Record<string, (line: number) => number>>;
  readonly options: S;
}

/**
 * How rows of one batch have adapters of their own. Adapters of methods with the same `adapt` lie side by side; those of
 * others run one around the other.
 */
export interface RowBatch<S> {
  /**
   * Builds what the form needs of the base's weights, which is computed once, when an adapter comes, and put beside its tensors;
   * null: nothing. Its names are no suffixes.
   */
  readonly ofBase: ((base: SiteWeights, values: SiteValues, site: SiteSpec, options: S) => SiteValues) | null;
  /** Made once of an adapter's trained and frozen tensors, when adapters are put together. Null: there is none. */
  form(tensors: SiteTensors, site: SiteSpec, options: S): RowForm<S> | null;
  /** The form of a row that has no adapter at this site: its output is the base's. Null: there is none. */
  identity(site: SiteSpec, options: S): RowForm<S> | null;
  /** Builds the projection of x [B, T, in]; values are [B, ...shape], and frozen tensors that are the same for all as they are. */
  adapt(site: SiteGraph, x: Value, values: SiteValues, options: S): Value;
  /**
   * Where forms are as large as weights, and options nobody's: builds what one adapter adds to the base's output for x
   * [n, T, in], the inputs of the rows that have it; values are its own. Then no row has a copy of them. Null: rows have.
   */
  readonly added: ((x: Value, values: SiteValues) => Value) | null;
}

/** Rows of a method without sites: what each has of its own are vectors of the base, as any adapter may. */
export const ONLY_VECTORS: RowBatch<unknown> = {
  ofBase: null,
  added: null,
  form: (tensors, _site, options) => ({ tensors, options }),
  identity: (_site, options) => ({ tensors: {}, options }),
  adapt: (site, x) => site.project(x),
};

/** How an adapter goes into the weights. */
export interface MergeRule<S> {
  /** Builds the merged weights. */
  graph(base: SiteWeights, values: SiteValues, site: SiteSpec, options: S): SiteWeights;
  /** How a merged weight is kept without being quantised; as always by the word, it is quantised again. */
  readonly stored: "requantized" | StoredMerge<S>;
}

/** A way to keep a tensor. */
export interface ExactKind {
  readonly storage: StorageName;
  /** Columns that share a scale, of a kind that leaves that to each tensor; else null. */
  readonly groupSize: number | null;
}

/** How a method merges into codes without rounding the weight to new ones. */
export interface StoredMerge<S> {
  /** The kinds that hold the merged weight so, the base's own first if it is one. */
  kinds(site: SitePlace, options: S): readonly ExactKind[];
  /** Makes it in one of them. `kept`: the base's weight; `tensors`: of the site, trained and frozen. */
  make(
    kind: StorageName,
    kept: StoredTensor,
    tensors: Readonly<Record<string, HostTensor>>,
    site: SitePlace,
    options: S,
  ): StoredTensor;
}

/** A module in an adapter file. */
export interface FileSite<S> {
  readonly path: string;
  readonly options: S;
  /** Whether the base keeps its weight as [in, out]; null: rows of an embedding, of which nobody asks. */
  readonly storedTransposed: boolean | null;
}

/** How options stand in `adapter_config.json`. */
export interface ConfigFile<O, S> {
  readonly peftType: string;
  /** Whether PEFT reads such a folder, or graft alone. */
  readBy(options: O): "peft" | "graft";
  /** Tells methods of one `peft_type` apart by the other keys. */
  claims(config: Readonly<Record<string, unknown>>): boolean;
  /**
   * Keys that say the options. `names` stand for the sites in the file, unless the keys have others as `target_modules`.
   */
  toConfig(
    options: O,
    sites: readonly FileSite<S>[],
    names: readonly string[],
  ): Readonly<Record<string, unknown>>;
  /**
   * Options for the schema. `take` gives the value of a key, undefined for null; a key of `raw` that nobody takes and that
   * is set is refused.
   */
  fromConfig(take: (key: string) => unknown, raw: Readonly<Record<string, unknown>>): unknown;
}

/** How adapters stand in files. */
export interface AdapterFile<O, S> extends ConfigFile<O, S> {
  /** What a file holds of a site, by suffix, of its trained and its saved tensors. */
  toTensors(tensors: SiteTensors, options: S): SiteTensors;
  /** The reverse; `site` is there for files that leave out what the weight says. */
  fromTensors(
    held: SiteTensors,
    options: S,
    site: Pick<SiteStart, "spec" | "weight">,
  ): SiteTensors | Promise<SiteTensors>;
}

/** The only method of its type, a folder for graft alone, and a file that holds the tensors as they are. */
export const PLAIN_FILE: Pick<
  AdapterFile<unknown, unknown>,
  "readBy" | "claims" | "toTensors" | "fromTensors"
> = {
  readBy: () => "graft",
  claims: () => true,
  toTensors: (tensors) => tensors,
  fromTensors: (held) => held,
};

/** Forgets the types of a method's options, for lists; the schema still guards them. */
export function defineMethod<O, S>(method: AdapterMethod<O, S>): AdapterMethod {
  return method as unknown as AdapterMethod;
}

/** As `defineMethod`, for a method that trains the base. */
export function defineBaseMethod<O>(method: BaseMethod<O>): BaseMethod {
  return method as BaseMethod;
}

/** How adapters of a method stand in a configuration; null: its result is an ordinary model. */
export function configFileOf(method: Method): ConfigFile<unknown, unknown> | null {
  if (method.kind === "adapter") return method.file;
  return method.result === "model" ? null : method.result;
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

/** Whether a method trains a tensor of the base itself. */
export function trainsRole(method: Method, role: TensorRole): boolean {
  return method.kind === "base" && (method.trains === "all" || method.trains.includes(role));
}
