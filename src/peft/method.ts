/**
 * @file The contract of a fine-tuning method: what is trained and how a projection is built around its frozen weight.
 *
 * Freezing, counting, saving, loading, merging, batching and combining are written once, outside. Adding a method: a file
 * and a line in `methods.ts`.
 */
import type { z } from "zod";
import type { DType } from "../graph/dtype.ts";
import type { Value } from "../graph/graph.ts";
import type { SiteSpec, TensorSpec } from "../models/architecture.ts";
import type { LookupGraph, SiteGraph } from "../models/block-graph.ts";
import type { StoredTensor } from "../quant/storage.ts";
import type { StorageName } from "../quant/storages.ts";
import type { Random } from "../random.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { Algebra } from "./algebra/contract.ts";

/** One trained tensor of a site, float32. */
export interface ParameterSpec {
  /** What follows the module's path in an adapter file: "lora_A.weight". */
  readonly suffix: string;
  readonly shape: readonly number[];
}

/** One tensor of a site that the programs read and that never changes. */
export interface FrozenSpec extends ParameterSpec {
  readonly dtype: DType;
  /** One tensor for the whole model instead of one a site; its name in a file is the suffix alone. */
  readonly shared: boolean;
  /** Whether an adapter file holds it (float32 then); else it is made again from the base. */
  readonly saved: boolean;
}

/** Tensors of one site in a graph, trained and frozen, by suffix. */
export type SiteParameters = Readonly<Record<string, Value>>;

/** Tensors of one site in memory, by suffix; the trained ones unless it is said otherwise. */
export type SiteTensors = Readonly<Record<string, HostTensor<"float32">>>;

/** Weight and bias of a site, in a graph. */
export interface SiteWeights {
  /** [out, in]; of an embedding [in, out], its rows. */
  readonly weight: Value;
  /** [out] */
  readonly bias: Value | null;
}

/** Where a site lies, known before any weight is read. */
export interface SitePlace {
  /** Full module path. */
  readonly path: string;
  readonly spec: SiteSpec;
  /** How the base keeps the weight. */
  readonly storage: StorageName;
  /** All sites that are adapted. */
  readonly sites: readonly SiteSpec[];
}

/** What the start values of a site are made from. */
export interface SiteStart {
  readonly path: string;
  readonly spec: SiteSpec;
  readonly random: Random;
  /** Trained tensors by suffix; they come as zeros and are filled in place. */
  readonly trained: SiteTensors;
  /** The base's weight [out, in] as it is kept; not to be changed. */
  stored(): Promise<StoredTensor>;
  /** The base's weight [out, in] in float32; not to be changed. */
  weight(): Promise<Float32Array>;
}

/**
 * A method. `O`: its options as a user gives them. `S`: the options of one site, what remains of `O` once patterns have
 * been applied to the site's path; sites with equal `S` and sizes share one program.
 */
export interface Method<O = unknown, S = unknown> {
  readonly name: string;
  /** `peft_type` of an adapter file; "none" when the result is an ordinary model. */
  readonly peftType: string;
  /** Tells methods of one `peft_type` apart by their `adapter_config.json`; without it the type alone says. */
  readonly claims?: (config: Readonly<Record<string, unknown>>) => boolean;
  readonly paper: { readonly title: string; readonly arxiv: string };
  /** The only description of the options: defaults, flags, validation and documentation derive from it. */
  readonly options: z.ZodType<O>;
  /** Modules that are adapted when the user names none, for a family; "all-linear" or suffixes. */
  defaultTargets(modelType: string): "all-linear" | readonly string[];
  /** Whether the method can sit on the residual stream, where `adapt` has no weight and nothing can be merged. */
  readonly adaptsResidual?: boolean;
  /** Whether the method trains a tensor of the base itself, whatever its targets. */
  trainsBase(tensor: TensorSpec, options: O): boolean;
  /** Modules that are trained whole beside the adapter, by name or path; none without it. */
  modulesToSave?(options: O): readonly string[];
  /** The options of one site. @throws UsageError when the method cannot sit there. */
  configure(options: O, place: SitePlace): S;
  /** Trained tensors of a site. */
  parameters(site: SiteSpec, options: S): readonly ParameterSpec[];
  /** Frozen tensors of a site beside the base's own. */
  frozen?(site: SiteSpec, options: S): readonly FrozenSpec[];
  /** Makes the frozen tensors that all sites share, by suffix. */
  shared?(sites: readonly SiteSpec[], options: O): Frozen;
  /** Why a fresh adapter already changes what the model computes; without it, it does not. */
  readonly startsAway?: string;
  /** Fills the trained tensors of a site and returns its own frozen ones, by suffix. */
  start(site: SiteStart, options: S): Frozen | void | Promise<Frozen | void>;
  /**
   * Whether `adapt` computes a matrix of the weight's size, however few tokens there are: such an adapter is better
   * merged before text is generated.
   */
  readonly formsWeight: boolean;
  /** Builds the adapted projection of x [..., in]. */
  adapt(site: SiteGraph, x: Value, parameters: SiteParameters, options: S): Value;
  /** Builds the adapted look-up of an embedding; without it the method cannot sit on one. */
  adaptLookup?(site: LookupGraph, parameters: SiteParameters, options: S): Value;
  /**
   * What `adaptRows` takes of one adapter's trained and frozen tensors, made once when adapters are put together; without
   * it, these and its options. Tensors are filled up with zeros to the size of the largest, those that others lack too.
   */
  rowForm?(
    tensors: SiteTensors,
    site: SiteSpec,
    options: S,
  ): { readonly tensors: SiteTensors; readonly options: S };
  /**
   * Builds the projection of x [B, T, in] where each row has an adapter of its own: parameters are [B, ...shape]. Options
   * are the same for all rows.
   */
  readonly adaptRows:
    | "not-batchable"
    | ((site: SiteGraph, x: Value, parameters: SiteParameters, options: S) => Value);
  /** Builds the merged weights, or says that there are none. */
  readonly merge:
    | "not-mergeable"
    | ((base: SiteWeights, parameters: SiteParameters, site: SiteSpec, options: S) => SiteWeights);
  /**
   * Merges into a weight as it is kept, without leaving its storage; null when that storage has no room for it, and then,
   * as without this member, the weight is quantised again.
   */
  mergeStored?(
    stored: StoredTensor,
    trained: SiteTensors,
    site: Pick<SitePlace, "path" | "spec">,
    options: S,
  ): StoredTensor | null;
  /** How adapters of the method are added and negated. */
  readonly algebra: "not-composable" | Algebra<O, S>;
  /** What an adapter file holds of a site, by suffix; without it, its trained and saved tensors as they are. */
  toFile?(tensors: SiteTensors, options: S): SiteTensors;
  /** The reverse of `toFile`; frozen tensors that it leaves out stay as they started. */
  fromFile?(held: SiteTensors, options: S): SiteTensors;
  /**
   * Keys of `adapter_config.json` that say the options. `sites`: the options of each site; `paths`: their modules;
   * `targets`: the names that stand for them in the file, unless the keys have others as `target_modules`.
   */
  toPeft(
    options: O,
    targets: readonly string[],
    sites: readonly S[],
    paths: readonly string[],
  ): Readonly<Record<string, unknown>>;
  /** The options of an `adapter_config.json`; keys it reads are removed from `raw`. */
  fromPeft(raw: Record<string, unknown>): unknown;
}

/** Frozen tensors of a site by suffix; the adapter owns them, or they are views of the base's. */
export type Frozen = Readonly<Record<string, HostTensor>>;

/** Forgets the types of a method's options, for lists; the schema still guards them. */
export function defineMethod<O, S>(method: Method<O, S>): Method {
  return method as unknown as Method;
}
