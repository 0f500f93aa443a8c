/** @file What a method knows about a site: its place in the model, and its tensors as declarations, in memory and in a graph. */
import type { DType } from "../../graph/dtype.ts";
import type { Value } from "../../graph/graph.ts";
import type { SiteGraph } from "../../models/graphs/site-graph.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { StorageName } from "../../quant/storages.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** One trained tensor of a site, float32. */
export interface ParameterSpec {
  /** Name after the module's path in an adapter file: "lora_A.weight". */
  readonly suffix: string;
  readonly shape: readonly number[];
}

/** A tensor of a site that programs read and that never changes. */
export interface FrozenSpec extends ParameterSpec {
  readonly dtype: DType;
  /** Whether there is one tensor for the whole model instead of one per site; its name in a file is only the suffix. */
  readonly shared: boolean;
  /** Whether an adapter file holds it (then it is float32); otherwise it is remade from the base or the options. */
  readonly saved: boolean;
}

/**
 * A frozen tensor in the form that programs bind when compiled, while trained tensors are fed. ONNX Runtime lays it out for fast
 * products, once for all adapters that share it.
 */
export interface BoundForm {
  /** Suffix of the frozen tensor that it replaces. */
  readonly of: string;
  readonly spec: Pick<FrozenSpec, "suffix" | "shape" | "dtype">;
  /** May be a view. */
  make(frozen: HostTensor): HostTensor;
}

/** Tensors of one site in a graph, trained and frozen, by suffix. */
export type SiteValues = Readonly<Record<string, Value>>;

/** Adds the tensors of a site to a graph as inputs; a bound form replaces its tensor. */
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

/** Tensors of one site in memory, by suffix; the trained ones unless stated otherwise. */
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

/** What is known about a site before any weight is read. */
export interface SitePlace {
  /** Full module path. */
  readonly path: string;
  readonly spec: SiteSpec;
  /** Its path as a parameter, if it was selected as one (`target_parameters`) and not as a module. */
  readonly parameter?: string;
  /** How the base stores the weight. */
  readonly storage: StorageName;
  /** Columns of it that share a scale, for storage kinds where this differs between tensors; else null. */
  readonly groupSize: number | null;
  /** All sites that are adapted. */
  readonly sites: readonly SiteSpec[];
}

/** A site with its weight, which is read on demand, and the tensors to be filled. */
export interface SiteStart extends SitePlace {
  /** Trained tensors, and frozen ones of this site that files hold; initially zeros. */
  readonly tensors: SiteTensors;
  /** Reads the base's weight [out, in] in its stored form; not to be changed. */
  stored(): Promise<StoredTensor>;
  /** Reads the base's weight [out, in] in float32, valid until that of another site is read; not to be changed. */
  weight(): Promise<Float32Array>;
  /**
   * Returns tensors that depend only on the base's weight and `key`: made once, and shared by all adapters of the base that
   * request them; not to be changed.
   */
  shareOnBase(key: string, make: () => Frozen | Promise<Frozen>): Promise<Frozen>;
}
