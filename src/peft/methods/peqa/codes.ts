/**
 * @file The codes that PEQA trains on, a base's own or new ones; the weight built from them in a graph, and the tuned weight in
 * storages that hold the same codes.
 */
import { assertInternal } from "../../../errors.ts";
import type { Value } from "../../../graph/graph.ts";
import { cast } from "../../../graph/ops/shapes/cast.ts";
import { mul, sub } from "../../../graph/ops/pointwise/elementwise.ts";
import { reshape } from "../../../graph/ops/shapes/reshape.ts";
import { packedBytes, unpackCodes } from "../../../graph/ops/products/unpack-codes.ts";
import type { SiteSpec } from "../../../models/graphs/sites.ts";
import type { AffineFormat, AffineKind, AffineWeight } from "../../../quant/affine/affine.ts";
import type { ScaleStart } from "../../../quant/affine/affine-quantize.ts";
import { STORAGE_NAMES, STORAGES } from "../../../quant/storages.ts";
import type { Storage } from "../../../quant/storage.ts";
import type { StoredTensor } from "../../../quant/stored-tensor.ts";
import { type HostTensor, hostTensor, type Tensors } from "../../../runtime/host-tensor.ts";
import type { ExactKind, StoredMerge } from "../../contract/merge-rule.ts";
import type { FrozenSpec, SiteValues } from "../../sites/site.ts";

/** What is trained: the scale of every group, or a relative change of all scales of a row. */
export const TRAINED_SCALES = ["group", "row"] as const;

/** Suffixes of a site's tensors. */
export const SCALE = "peqa_scale";
export const DELTA = "peqa_delta";
export const CODES = "peqa_codes";
export const ZERO = "peqa_zero";
export const FACTOR = "peqa_factor";
export const START = "peqa_start";

/** The options of a site with codes beside the base. */
interface OnCodes {
  readonly format: AffineFormat;
  /** How codes are made; null: they are the base's own. */
  readonly start: ScaleStart | null;
  readonly scales: (typeof TRAINED_SCALES)[number];
}

/** The options of a site that only needs the base's projection. */
interface OnBase {
  /** Format of the base's own codes; null: its stored form is not affine codes. */
  readonly format: AffineFormat | null;
  readonly start: null;
  readonly scales: "row";
}

/** The options of one site. */
export type PeqaSite = OnCodes | OnBase;

/** Whether a site only needs the base's projection. */
export function isOnBase(options: PeqaSite): options is OnBase {
  return options.start === null && options.scales === "row";
}

/** Factor on scales for training, which makes scales over factors about as large as those of groups. */
export function trainedUnit({ factor }: AffineFormat): number {
  return factor?.typical ?? 1;
}

/** Shape of the scales. */
export function groupShape(
  { inFeatures, outFeatures }: SiteSpec,
  { groupSize }: Pick<AffineFormat, "groupSize">,
): number[] {
  return [outFeatures, inFeatures / groupSize];
}

/** The frozen tensors of a site. */
export function frozenSpecs(site: SiteSpec, options: PeqaSite): FrozenSpec[] {
  if (isOnBase(options)) return [];
  const { bits, codes, zero, factor, groupSize } = options.format;
  const common = { shared: false, saved: false };
  const zeroShape = groupShape(site, factor ?? { groupSize });
  const packed = [site.outFeatures, packedBytes(bits, site.inFeatures)];
  return [
    { suffix: CODES, shape: packed, dtype: codes, ...common },
    ...(typeof zero === "number" ? [] : [{ suffix: ZERO, shape: zeroShape, dtype: zero, ...common }]),
    ...(factor ? [{ suffix: FACTOR, shape: zeroShape, dtype: factor.dtype, ...common }] : []),
    ...(options.scales === "row"
      ? [{ suffix: START, shape: groupShape(site, { groupSize }), dtype: "float32" as const, ...common }]
      : []),
  ];
}

/** Builds the weight [out, in] from codes and `scale` [out, groups]. */
export function weightOfCodes(
  { inFeatures, outFeatures }: SiteSpec,
  { [CODES]: packed, [ZERO]: zeros, [FACTOR]: factors }: SiteValues,
  scale: Value,
  { bits, groupSize, zero, factor }: AffineFormat,
): Value {
  const inGroups = (value: Value, size: number): Value =>
    reshape(value, [outFeatures, inFeatures / size, size]);
  const perGroup = (value: Value, size: number): Value =>
    reshape(cast(value, "float32"), [outFeatures, inFeatures / size, 1]);
  const zeroGroup = factor?.groupSize ?? groupSize;
  let steps = inGroups(unpackCodes(packed!, bits, inFeatures), zeroGroup);
  if (factor) steps = mul(steps, perGroup(factors!, zeroGroup));
  if (zero !== 0) {
    steps = sub(steps, typeof zero === "number" ? steps.graph.scalar(zero) : perGroup(zeros!, zeroGroup));
  }
  const weight = mul(inGroups(steps, groupSize), perGroup(scale, groupSize));
  return reshape(weight, [outFeatures, inFeatures]);
}

/** Reads a weight's own codes. */
export function readAffine({ storage, planes }: StoredTensor): AffineWeight {
  const { affine }: Storage = STORAGES[storage];
  assertInternal(affine !== "not-affine", `${storage} has no codes of its own`);
  return affine.read(planes);
}

/** The tuned weight in storages that hold its codes: the base's, and others that can store them. */
export const storedMerge: StoredMerge<PeqaSite> = {
  kinds: ({ spec, storage, groupSize }, { format, start }) => {
    if (format === null) return [];
    const own: ExactKind[] = start === null ? [{ storage, groupSize: groupSize ?? null }] : [];
    // These codes are of [out, in], which cannot be stored for a matrix that files have as [in, out].
    if (spec.storedTransposed) return own;
    const others = STORAGE_NAMES.filter((name) => {
      const hold = holdOf(STORAGES[name]);
      const isWhole = spec.inFeatures % STORAGES[name].blockSize === 0;
      return name !== storage && isWhole && hold !== null && hold.fits(format);
    });
    return [...own, ...others.map((name) => ({ storage: name, groupSize: format.groupSize }))];
  },

  make: (kind, kept, { site: { path, spec }, tensors, options: { format, start, scales } }) => {
    assertInternal(format !== null, `${kept.storage} "${path}" is not kept as codes`);
    const own = start === null ? readAffine(kept) : null;
    const scale =
      scales === "row"
        ? multiplied(
            (own?.scale ?? tensors[START]) as HostTensor<"float32">,
            (row) => 1 + (tensors[DELTA]!.data[row] as number),
          )
        : multiplied(tensors[SCALE] as HostTensor<"float32">, () => 1 / trainedUnit(format));
    const name = `${path}.weight`;
    if (kind === kept.storage && start === null) {
      return { ...kept, planes: (STORAGES[kind].affine as AffineKind).write(kept.planes, scale, name) };
    }
    const weight = own ? { ...own, scale } : madeWeight(tensors, scale);
    const planes = holdOf(STORAGES[kind])!.pack(format, weight, spec.inFeatures, name);
    return { storage: kind, shape: kept.shape, planes };
  },
};

function holdOf({ affine }: Storage): Exclude<AffineKind["hold"], string> | null {
  return affine === "not-affine" || affine.hold === "own-codes-only" ? null : affine.hold;
}

function madeWeight(tensors: Tensors, scale: AffineWeight["scale"]): AffineWeight {
  const { [CODES]: codes, [ZERO]: zero } = tensors;
  return {
    codes: codes as AffineWeight["codes"],
    scale,
    zero: (zero ?? null) as AffineWeight["zero"],
    factor: null,
  };
}

/** Multiplies the scales [out, groups] of each row by a factor. */
function multiplied(
  { shape, data }: HostTensor<"float32">,
  factorOf: (row: number) => number,
): HostTensor<"float32"> {
  const numGroups = shape.at(-1)!;
  const values = data.map((value, i) => value * factorOf(Math.floor(i / numGroups)));
  return hostTensor("float32", shape, values);
}
