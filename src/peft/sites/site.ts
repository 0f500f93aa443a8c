/**
 * @file What a method knows of a site: its place in the model, and its tensors as declarations, in memory and in a graph.
 */
import type { DType } from "../../graph/dtype.ts";
import type { Value } from "../../graph/graph.ts";
import type { SiteGraph } from "../../models/graphs/site-graph.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { StorageName } from "../../quant/storages.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

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

/**
 * A frozen tensor in the form that programs bind when they are compiled, where all that is trained beside it is fed: ONNX
 * Runtime lays it out to be multiplied fast, once for all adapters that share it.
 */
export interface BoundForm {
  /** Suffix of the frozen tensor whose place it takes. */
  readonly of: string;
  readonly spec: Pick<FrozenSpec, "suffix" | "shape" | "dtype">;
  /** May be a view. */
  make(frozen: HostTensor): HostTensor;
}

/** Tensors of one site in a graph, trained and frozen, by suffix. */
export type SiteValues = Readonly<Record<string, Value>>;

/** Adds the tensors of a site to a graph, as inputs; one that is bound in the place of what it is a form of. */
export function inputTensors(
  {
    parameters,
    frozen,
  }: { readonly parameters: readonly ParameterSpec[]; readonly frozen: readonly FrozenSpec[] },
  input: SiteGraph["input"],
  bound: Pick<BoundForm, "of" | "spec"> | null,
): SiteValues {
  const specs = [
    ...parameters.map((spec) => ({ ...spec, dtype: "float32" as const })),
    ...frozen.filter(({ suffix }) => suffix !== bound?.of),
    ...(bound ? [bound.spec] : []),
  ];
  return Object.fromEntries(specs.map(({ suffix, shape, dtype }) => [suffix, input(suffix, shape, dtype)]));
}

/** Tensors of one site in memory, by suffix; the trained ones unless it is said otherwise. */
export type SiteTensors = Readonly<Record<string, HostTensor<"float32">>>;

/** Frozen tensors by suffix; the adapter owns them, or they are views of the base's. */
export type Frozen = Readonly<Record<string, HostTensor>>;

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
  /** Its path as a parameter, where it was chosen as one (`target_parameters`) and not as a module. */
  readonly parameter?: string;
  /** How the base keeps the weight. */
  readonly storage: StorageName;
  /** Columns of it that share a scale, of a kind that leaves that to each tensor; else null. */
  readonly groupSize: number | null;
  /** All sites that are adapted. */
  readonly sites: readonly SiteSpec[];
}

/** A site with its weight, which is read when it is asked for, and the tensors that are to be filled. */
export interface SiteStart extends SitePlace {
  /** Trained tensors, and the frozen ones of this site alone that a file holds; they come as zeros. */
  readonly tensors: SiteTensors;
  /** The base's weight [out, in] as it is kept; not to be changed. */
  stored(): Promise<StoredTensor>;
  /** The base's weight [out, in] in float32, until that of another site is asked for; not to be changed. */
  weight(): Promise<Float32Array>;
  /**
   * Tensors that follow from the base's weight and `key` alone: made once, and shared by all adapters of the base that ask
   * for them; not to be changed.
   */
  shareOnBase(key: string, make: () => Frozen | Promise<Frozen>): Promise<Frozen>;
}
