/**
 * @file LoRA: a frozen projection plus a product of two thin matrices.
 *
 *   y = x Wᵀ + b + s (drop(x) Aᵀ) Bᵀ     A [R, in]  B [out, R]     s = α/R, or α/√R (rsLoRA)
 *
 * Papers: "LoRA", arXiv:2106.09685, eq. 3; "Rank-stabilized LoRA", arXiv:2312.03732 (s = α/√R).
 * B starts at zero, so the output starts as the base's. A starts uniform in ±1/√in, or normal with deviation 1/R.
 */
import { z } from "zod";
import { add } from "../graph/ops/add.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { defineMethod } from "./method.ts";
import { matchPattern } from "./targets.ts";

const OPTIONS = z.strictObject({
  rank: z.int().min(1).default(8).describe("width R of the two thin matrices"),
  alpha: z.number().positive().default(16).describe("scale α; the update is multiplied by α/R"),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("share of the update's inputs that is dropped in training"),
  rslora: z.boolean().default(false).describe("scale by α/√R instead of α/R"),
  init: z.enum(["default", "gaussian"]).default("default").describe("how A starts: uniform or normal"),
  rankPattern: z.record(z.string(), z.int().min(1)).default({}).describe("other ranks by module pattern"),
  alphaPattern: z
    .record(z.string(), z.number().positive())
    .default({})
    .describe("other scales by module pattern"),
});
type LoraOptions = z.output<typeof OPTIONS>;

interface LoraSite {
  readonly rank: number;
  readonly scale: number;
  readonly dropout: number;
  readonly init: LoraOptions["init"];
}

/** Values of PEFT's `init_lora_weights` that leave the base as it is. */
const KNOWN_STARTS: readonly unknown[] = [undefined, true, false, "gaussian", "orthogonal", "eva"];

const A = "lora_A.weight";
const B = "lora_B.weight";

export const lora = defineMethod<LoraOptions, LoraSite>({
  name: "lora",
  peftType: "LORA",
  paper: { title: "LoRA: Low-Rank Adaptation of Large Language Models", arxiv: "2106.09685" },
  options: OPTIONS,
  defaultTargets: () => "all-linear",
  trainsBase: () => false,

  configure: (options, { path }) => {
    const rank = matchPattern(options.rankPattern, path) ?? options.rank;
    const alpha = matchPattern(options.alphaPattern, path) ?? options.alpha;
    const scale = alpha / (options.rslora ? Math.sqrt(rank) : rank);
    return { rank, scale, dropout: options.dropout, init: options.init };
  },

  parameters: ({ inFeatures, outFeatures }, { rank }) => [
    { suffix: A, shape: [rank, inFeatures] },
    { suffix: B, shape: [outFeatures, rank] },
  ],

  start: ({ spec, random, trained: { [A]: a } }, { rank, init }) => {
    const bound = 1 / Math.sqrt(spec.inFeatures);
    const values = a!.data;
    for (let i = 0; i < values.length; i++) {
      values[i] = init === "gaussian" ? random.normal() / rank : bound * (2 * random.uniform() - 1);
    }
  },

  formsWeight: false,

  adapt: (site, x, { [A]: a, [B]: b }, { scale, dropout }) => {
    const low = matmul(site.dropout(x, dropout), a!, { transB: true }); // [..., R]
    return add(site.project(x), matmul(low, b!, { transB: true, alpha: scale }));
  },

  adaptRows: "not-batchable",

  merge: ({ weight, bias }, { [A]: a, [B]: b }, _site, { scale }) => ({
    weight: add(weight, matmul(b!, a!, { alpha: scale })),
    bias,
  }),

  algebra: "not-composable",

  toPeft: (o) => ({
    r: o.rank,
    lora_alpha: o.alpha,
    lora_dropout: o.dropout,
    use_rslora: o.rslora,
    use_dora: false,
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: o.init === "default" ? true : o.init,
    rank_pattern: o.rankPattern,
    alpha_pattern: o.alphaPattern,
  }),

  fromPeft: (raw) => {
    const take = (key: string): unknown => {
      const value = raw[key];
      delete raw[key];
      return value ?? undefined;
    };
    const init = take("init_lora_weights");
    // Other starts change the base as well: the numbers in the file mean nothing without it.
    if (!KNOWN_STARTS.includes(init)) raw["init_lora_weights"] = init;
    if (raw["bias"] === "none") delete raw["bias"];
    return {
      rank: take("r"),
      alpha: take("lora_alpha") ?? 8,
      dropout: take("lora_dropout"),
      rslora: take("use_rslora"),
      init: init === "gaussian" ? init : "default",
      rankPattern: take("rank_pattern"),
      alphaPattern: take("alpha_pattern"),
    };
  },
});
