/**
 * @file PEQA: the weight becomes integers that never change; only the scales that turn them into a weight are trained.
 *
 *   W[i, j] = s[i, g] (q[i, j] − z[i, g])    y = x Wᵀ + b     q [out, in]  z, s [out, groups]  g = ⌊j / groupSize⌋
 *
 * Paper: "Memory-Efficient Fine-Tuning of Compressed Large Language Models via sub-4-bit Integer Quantization", arXiv:2305.14152,
 * eq. 1 and 2. Nothing is rounded in training, so the gradient of s is exact. A base stored as such codes is trained on these and
 * starts unchanged; one of floats is quantized first (quant/affine/affine-quantize). Differs from the paper: s itself is stored,
 * not its change. With `scales: "row"`, which is ours, all s of a row change by one factor, W = (1 + δ[i]) W₀: on any quantized
 * base this scales the output of its projection, and nothing is held beside the base.
 */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { add, mul, sub } from "../../graph/ops/pointwise/elementwise.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { linear } from "../../nn/linear.ts";
import { SCALE_STARTS, quantizeAffine } from "../../quant/affine/affine-quantize.ts";
import { startAlgebra } from "../algebra/contract.ts";
import { defineMethod } from "../define-method.ts";
import { ALL_LINEAR } from "../method.ts";
import { PLAIN_FILE, configKeys } from "../contract/adapter-file.ts";
import type { SiteValues } from "../sites/site.ts";
import { MODULES_TO_SAVE, WHOLE_MODULES, joinWholeModules } from "../trained-base/whole-modules.ts";
import { BLOCKS, blocksShape, projectBlocks, toBlocks } from "./peqa/blocks.ts";
import { chooseCodes, DEFAULT_BITS, OWN_CODES } from "./peqa/chosen-codes.ts";
import { peqaRows } from "./peqa/rows.ts";
import {
  CODES,
  DELTA,
  FACTOR,
  frozenSpecs,
  groupShape,
  isOnBase,
  type PeqaSite,
  readAffine,
  SCALE,
  START,
  storedMerge,
  TRAINED_SCALES,
  trainedUnit,
  weightOfCodes,
  ZERO,
} from "./peqa/codes.ts";

const OPTIONS = z.strictObject({
  bits: z
    .int()
    .min(2)
    .max(4)
    .nullable()
    .default(null)
    .describe("bits of a code: 2, 3 or 4; default: those of a quantized base, or 4"),
  groupSize: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe(
      "number of inputs that share a scale, 0: all of a row; default: that of a quantized base, or 0",
    ),
  init: z
    .enum(SCALE_STARTS)
    .default("clip")
    .describe("how a float base is quantized: over its whole range, or clipped where that is closer"),
  scales: z
    .enum(TRAINED_SCALES)
    .default("group")
    .describe("what is trained: the scale of each group, or one factor for all scales of a row"),
  ownCodes: z
    .enum(OWN_CODES)
    .default("all")
    .describe(
      "which quantized weights keep their codes: all, or, as in older versions, those of types that graft writes; the others are quantized again",
    ),
  ...MODULES_TO_SAVE,
});
type PeqaOptions = z.output<typeof OPTIONS>;

const KEYS = configKeys<PeqaOptions>({
  bits: "bits",
  groupSize: "group_size",
  init: "init",
  scales: "scales",
  ownCodes: "own_codes",
});

export const peqa = defineMethod<PeqaOptions, PeqaSite>({
  kind: "adapter",
  name: "peqa",
  paper: {
    title:
      "Memory-Efficient Fine-Tuning of Compressed Large Language Models via sub-4-bit Integer Quantization",
    arxiv: "2305.14152",
  },
  // With "row" the trained tensor is a relative change of the scales, not a scale.
  learningRate: ({ scales }) => (scales === "row" ? 4e-3 : 4e-5),
  options: OPTIONS,
  targets: { ...ALL_LINEAR, ...WHOLE_MODULES },

  configure: (wanted) => (place) => chooseCodes(wanted, place),

  trained: {
    specs: (site, { format, scales }) =>
      scales === "row"
        ? [{ suffix: DELTA, shape: [site.outFeatures, 1] }]
        : [{ suffix: SCALE, shape: groupShape(site, format) }],
    // `freeze` fills the scales together with the codes; changes of scales start at 0.
    init: () => {},
    initialChange: {
      because: "A float base is quantized first; a quantized base is used as it is.",
    },
  },

  frozen: {
    specs: frozenSpecs,
    share: () => ({}),
    freeze: async (site, options) => {
      if (isOnBase(options)) return {};
      const { format, start, scales } = options;
      const { inFeatures, outFeatures } = site.spec;
      // The codes depend on the base, not on the task: adapters that need the same ones share their memory.
      const made = await site.shareOnBase(JSON.stringify([format, start]), async () => {
        const { codes, scale, zero, factor } =
          start === null
            ? readAffine(await site.stored())
            : quantizeAffine(await site.weight(), [outFeatures, inFeatures], { ...format, start });
        return {
          [CODES]: codes,
          [START]: scale,
          ...(zero ? { [ZERO]: zero } : {}),
          ...(factor ? { [FACTOR]: factor } : {}),
        };
      });
      if (scales === "row") return made;
      const { [START]: scale, ...frozen } = made;
      const size = trainedUnit(format);
      site.tensors[SCALE]?.data.set((scale!.data as Float32Array).map((value) => value * size));
      return frozen;
    },
    bound: (site, options) => {
      if (isOnBase(options)) return null;
      const coded = { ...site, format: options.format };
      const shape = blocksShape(coded);
      if (!shape) return null;
      const spec = { suffix: BLOCKS, shape, dtype: "uint8" as const };
      return { of: CODES, spec, make: (codes) => toBlocks(codes, coded) };
    },
  },

  adapt: (site, x, values, options) => {
    const { spec, bias } = site;
    if (isOnBase(options)) {
      const y = site.project(x);
      return add(y, mul(bias ? sub(y, bias) : y, reshape(values[DELTA]!, [spec.outFeatures])));
    }
    const scale = tunedScale(values, options);
    const y = values[BLOCKS]
      ? projectBlocks(x, scale, values, { ...spec, format: options.format })
      : linear(x, weightOfCodes(spec, values, scale, options.format), null);
    return bias ? add(y, bias) : y;
  },
  materializesWeight: (site, options) =>
    !isOnBase(options) && blocksShape({ ...site, format: options.format }) === null,

  lookup: "not-on-embeddings",
  batch: peqaRows,

  merge: {
    graph: ({ weight, bias }, values, site, options) => ({
      weight: isOnBase(options)
        ? add(weight, mul(weight, values[DELTA]!))
        : weightOfCodes(site, values, tunedScale(values, options), options.format),
      bias,
    }),
    stored: storedMerge,
  },

  algebra: {
    ...startAlgebra([SCALE, DELTA]),
    optionsOf: (_sites, terms) => ({ ...terms[0], ...joinWholeModules(terms) }),
  },

  file: {
    ...PLAIN_FILE,
    peftType: "PEQA",
    // For a float base, stores what is needed to make the codes again; a base's own codes define themselves.
    toConfig: ({ bits, groupSize, ...others }, sites) => {
      // For a sum of adapters no base is available, so the options of the folders are used.
      const isMade = sites.every(({ options: { start } }: { options: Partial<PeqaSite> }) => start != null);
      return KEYS.toConfig({
        ...others,
        bits: bits ?? (isMade ? DEFAULT_BITS : null),
        groupSize: groupSize ?? (isMade ? 0 : null),
      });
    },
    fromConfig: (take) => {
      const found = KEYS.fromConfig(take);
      // Older folders, from before graft read other kinds this way, do not have this key.
      return { ...found, ownCodes: found["ownCodes"] ?? "written" };
    },
  },
});

/** Builds the current scales [out, groups] from the trained tensors. */
function tunedScale(values: SiteValues, { format, scales }: PeqaSite): Value {
  if (scales === "group") {
    const [scale, size] = [values[SCALE]!, trainedUnit(format)];
    return size === 1 ? scale : mul(scale, scale.graph.scalar(1 / size));
  }
  const [start, change] = [values[START]!, values[DELTA]!];
  return add(start, mul(start, change));
}
