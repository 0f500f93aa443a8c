/** LoRA-FA (arXiv:2308.03303): LoRA whose A stays as it was drawn; half the trained numbers, and no activations kept for A. */
import { z } from "zod";
import { defineMethod, ops } from "../../src/index.ts";

const OPTIONS = z.strictObject({
  rank: z.int().min(1).default(8).describe("width R of the two thin matrices"),
  alpha: z.number().positive().default(16).describe("scale; the update is multiplied by alpha/R"),
});
type Options = z.output<typeof OPTIONS>;

const A = "lora_A.weight";
const B = "lora_B.weight";

export const loraFa = defineMethod<Options, Options>({
  name: "lora-fa",
  peftType: "LORA_FA",
  paper: { title: "LoRA-FA: Memory-efficient Low-rank Adaptation for LLM Fine-tuning", arxiv: "2308.03303" },
  options: OPTIONS,
  defaultTargets: () => "all-linear",
  trainsBase: () => false,
  configure: (options) => options,

  parameters: ({ outFeatures }, { rank }) => [{ suffix: B, shape: [outFeatures, rank] }],
  frozen: ({ inFeatures }, { rank }) => [
    { suffix: A, shape: [rank, inFeatures], dtype: "float32", shared: false, saved: true },
  ],
  // B comes as zeros, so the output starts as the base's.
  start: ({ spec: { inFeatures }, random }, { rank }) => {
    const bound = 1 / Math.sqrt(inFeatures);
    const data = new Float32Array(rank * inFeatures).map(() => bound * (2 * random.uniform() - 1));
    return { [A]: { dtype: "float32", shape: [rank, inFeatures], data } };
  },

  formsWeight: false,
  adapt: (site, x, { [A]: a, [B]: b }, { rank, alpha }) => {
    const low = ops.matmul(x, a!, { transB: true });
    return ops.add(site.project(x), ops.matmul(low, b!, { transB: true, alpha: alpha / rank }));
  },
  adaptRows: "not-batchable",
  merge: ({ weight, bias }, { [A]: a, [B]: b }, _site, { rank, alpha }) => ({
    weight: ops.add(weight, ops.matmul(b!, a!, { alpha: alpha / rank })),
    bias,
  }),
  algebra: "not-composable",

  toPeft: ({ rank, alpha }) => ({ r: rank, lora_alpha: alpha }),
  fromPeft: (raw) => {
    const { r: rank, lora_alpha: alpha } = raw;
    for (const key of ["r", "lora_alpha"]) delete raw[key];
    return { rank, alpha };
  },
});
