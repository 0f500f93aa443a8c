/**
 * @file PEQA: the weight becomes whole numbers that never change; only the scales that turn them into a weight are trained.
 *
 *   W[i, j] = s[i, g] (q[i, j] − z[i, g])    y = x Wᵀ + b     q [out, in]  z, s [out, groups]  g = ⌊j / groupSize⌋
 *
 * Paper: "Memory-Efficient Fine-Tuning of Compressed Large Language Models via sub-4-bit Integer Quantization",
 * arXiv:2305.14152, eq. 1 and 2. Nothing is rounded in training, so the gradient of s is exact. A base that is kept as
 * such codes is trained on its own ones and starts as it is; another is quantized first (quant/affine-quantize).
 * Differs from the paper: s is stored whole, not as its change.
 */
import { z } from "zod";
import { assertInternal, UsageError } from "../../errors.ts";
import type { Value } from "../../graph/graph.ts";
import { cast } from "../../graph/ops/cast.ts";
import { mul, sub } from "../../graph/ops/elementwise.ts";
import { reshape } from "../../graph/ops/reshape.ts";
import { packedBytes, unpackCodes } from "../../graph/ops/unpack-codes.ts";
import type { SiteSpec } from "../../models/sites.ts";
import { linear } from "../../nn/linear.ts";
import type { AffineFormat, AffineWeight } from "../../quant/affine.ts";
import {
  SCALE_STARTS,
  type ScaleStart,
  quantizeAffine,
  quantizedFormat,
} from "../../quant/affine-quantize.ts";
import { STORAGES } from "../../quant/storages.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import { startAlgebra } from "../algebra/contract.ts";
import { ALL_LINEAR, NOTHING_FROZEN, PLAIN_FILE, defineMethod } from "../method.ts";
import type { SitePlace, SiteValues } from "../site.ts";
import {
  MODULES_TO_SAVE,
  WHOLE_MODULES,
  joinWholeModules,
  wholeModulesFromConfig,
  wholeModulesToConfig,
} from "../whole-modules.ts";

const DEFAULT_BITS = 4;

const OPTIONS = z.strictObject({
  bits: z
    .int()
    .min(2)
    .max(4)
    .nullable()
    .default(null)
    .describe("bits of a code, 2, 3 or 4; without it those of a quantized base, or 4"),
  groupSize: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe("inputs that share a scale, 0: all of a row; without it those of a quantized base, or 0"),
  init: z
    .enum(SCALE_STARTS)
    .default("clip")
    .describe(
      "how a base of floats is quantized: by its whole range, or with the ends cut off where that is nearer",
    ),
  ...MODULES_TO_SAVE,
});
type PeqaOptions = z.output<typeof OPTIONS>;

interface PeqaSite {
  readonly format: AffineFormat;
  /** How codes are made; null: they are the base's own. */
  readonly start: ScaleStart | null;
}

const SCALE = "peqa_scale";
const CODES = "peqa_codes";
const ZERO = "peqa_zero";

export const peqa = defineMethod<PeqaOptions, PeqaSite>({
  kind: "adapter",
  name: "peqa",
  paper: {
    title:
      "Memory-Efficient Fine-Tuning of Compressed Large Language Models via sub-4-bit Integer Quantization",
    arxiv: "2305.14152",
  },
  learningRate: 4e-5,
  options: OPTIONS,
  targets: { ...ALL_LINEAR, ...WHOLE_MODULES },

  configure: (options, place) => {
    const { affine } = STORAGES[place.storage];
    if (affine !== "not-affine") return { format: ownFormat(options, place, affine.format), start: null };
    const { inFeatures } = place.spec;
    const groupSize = options.groupSize || inFeatures;
    if (inFeatures % groupSize !== 0) {
      throw refused(
        place,
        `${inFeatures} inputs in groups of ${groupSize}, expected groups that divide them`,
        `Choose a group size that divides ${inFeatures}, or 0 for one scale a row.`,
      );
    }
    const bits = (options.bits ?? DEFAULT_BITS) as 2 | 3 | 4;
    return { format: quantizedFormat({ bits, groupSize }), start: options.init };
  },

  trained: {
    specs: (site, { format }) => [{ suffix: SCALE, shape: groupShape(site, format) }],
    // The scales belong to the codes: both are made at once.
    init: () => {},
    initialChange: {
      because: "A base of floats is quantized first; one that is quantized already starts as it is.",
    },
  },

  frozen: {
    ...NOTHING_FROZEN,
    specs: (site, { format }) => {
      const { bits, codes, zero } = format;
      const common = { shared: false, saved: false };
      const shape = [site.outFeatures, packedBytes(bits, site.inFeatures)];
      const packed = { suffix: CODES, shape, dtype: codes, ...common };
      if (typeof zero === "number") return [packed];
      return [packed, { suffix: ZERO, shape: groupShape(site, format), dtype: zero, ...common }];
    },
    freeze: async (site, { format, start }) => {
      const { inFeatures, outFeatures } = site.spec;
      // The codes are the base's, not a task's: all adapters that ask for the same ones have them in the same memory.
      const made = await site.shareOnBase(JSON.stringify([format, start]), async () => {
        const { codes, scale, zero } =
          start === null
            ? readAffine(await site.stored())
            : quantizeAffine(await site.weight(), [outFeatures, inFeatures], { ...format, start });
        return { [CODES]: codes, [SCALE]: scale, ...(zero ? { [ZERO]: zero } : {}) };
      });
      const { [SCALE]: scale, ...frozen } = made;
      site.tensors[SCALE]?.data.set(scale!.data as Float32Array);
      return frozen;
    },
  },

  adapt: (site, x, values, { format }) => linear(x, weightOf(site.spec, values, format), site.bias),
  materializesWeight: true,

  lookup: "not-on-embeddings",
  batch: "not-batchable",

  merge: {
    graph: ({ bias }, values, site, { format }) => ({ weight: weightOf(site, values, format), bias }),
    stored: (kept, { [SCALE]: scale }, { path }, { start }) => {
      const { affine } = STORAGES[kept.storage];
      if (affine === "not-affine" || start !== null) return null;
      return { ...kept, planes: affine.write(kept.planes, scale!, `${path}.weight`) };
    },
  },

  algebra: {
    ...startAlgebra([SCALE]),
    optionsOf: (_sites, terms) => ({ ...terms[0], ...joinWholeModules(terms) }),
  },

  file: {
    ...PLAIN_FILE,
    peftType: "PEQA",
    // What makes the codes of a base of floats again; a base's own codes say themselves how they are.
    toConfig: ({ bits, groupSize, init, ...others }, sites) => {
      const isMade = sites.every(({ options }) => options.start !== null);
      return {
        bits: bits ?? (isMade ? DEFAULT_BITS : null),
        group_size: groupSize ?? (isMade ? 0 : null),
        init,
        ...wholeModulesToConfig(others),
      };
    },
    fromConfig: (take) => ({
      bits: take("bits"),
      groupSize: take("group_size"),
      init: take("init"),
      ...wholeModulesFromConfig(take),
    }),
  },
});

/** The weight [out, in] in a graph. */
function weightOf(
  { inFeatures, outFeatures }: SiteSpec,
  { [SCALE]: scale, [CODES]: packed, [ZERO]: zeros }: SiteValues,
  { bits, groupSize, zero }: AffineFormat,
): Value {
  const numGroups = inFeatures / groupSize;
  const perGroup = [outFeatures, numGroups, 1];
  const codes = reshape(unpackCodes(packed!, bits, inFeatures), [outFeatures, numGroups, groupSize]);
  const origin =
    typeof zero === "number" ? codes.graph.scalar(zero) : reshape(cast(zeros!, "float32"), perGroup);
  const steps = zero === 0 ? codes : sub(codes, origin);
  return reshape(mul(steps, reshape(scale!, perGroup)), [outFeatures, inFeatures]);
}

function readAffine({ storage, planes }: StoredTensor): AffineWeight {
  const { affine } = STORAGES[storage];
  assertInternal(affine !== "not-affine", `${storage} has no codes of its own`);
  return affine.read(planes);
}

function groupShape({ inFeatures, outFeatures }: SiteSpec, { groupSize }: AffineFormat): number[] {
  return [outFeatures, inFeatures / groupSize];
}

/** The format of a base that is quantized already. @throws UsageError "usage/quantization" when another is asked for. */
function ownFormat({ bits, groupSize }: PeqaOptions, place: SitePlace, format: AffineFormat): AffineFormat {
  const wanted = groupSize === 0 ? place.spec.inFeatures : groupSize;
  if ((bits ?? format.bits) === format.bits && (wanted ?? format.groupSize) === format.groupSize) {
    return format;
  }
  throw refused(
    place,
    `its weight is kept as ${place.storage}, ${format.bits} bits in groups of ${format.groupSize}, expected ${bits ?? format.bits} bits in groups of ${wanted ?? format.groupSize}`,
    "Leave bits and group size out to train on the base's own codes, or take a base of floats.",
  );
}

function refused({ path }: SitePlace, problem: string, hint: string): UsageError {
  return new UsageError("usage/quantization", `Cannot put method "peqa" on "${path}": ${problem}`, { hint });
}
