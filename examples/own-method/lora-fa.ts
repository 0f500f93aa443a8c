/** LoRA-FA (arXiv:2308.03303): LoRA whose A stays as it was drawn; half the trained numbers, and no activations kept for A. */
import { z } from "zod";
import { ALL_LINEAR, NOTHING_FROZEN, PLAIN_FILE, defineMethod, ops } from "../../src/index.ts";

const OPTIONS = z.strictObject({
  rank: z.int().min(1).default(8).describe("rank R of the two thin matrices"),
  alpha: z.number().positive().default(16).describe("scale; the update is multiplied by alpha/R"),
});
type Options = z.output<typeof OPTIONS>;

const A = "lora_A.weight";
const B = "lora_B.weight";

export const loraFa = defineMethod<Options, Options>({
  kind: "adapter",
  name: "lora-fa",
  paper: { title: "LoRA-FA: Memory-efficient Low-rank Adaptation for LLM Fine-tuning", arxiv: "2308.03303" },
  learningRate: 4e-4,
  options: OPTIONS,
  targets: ALL_LINEAR,
  configure: (options) => () => options,
  trained: {
    specs: ({ outFeatures }, { rank }) => [{ suffix: B, shape: [outFeatures, rank] }],
    // B comes as zeros, so the output starts as the base's.
    init: ({ spec: { inFeatures }, tensors: { [A]: a } }, _options, random) => {
      a!.data.forEach((_, i) => (a!.data[i] = (2 * random.uniform() - 1) / Math.sqrt(inFeatures)));
    },
    initialChange: "none",
  },
  frozen: {
    ...NOTHING_FROZEN,
    specs: ({ inFeatures }, { rank }) => [
      { suffix: A, shape: [rank, inFeatures], dtype: "float32", shared: false, saved: true },
    ],
  },

  adapt: (site, x, { [A]: a, [B]: b }, { rank, alpha }) => {
    const low = ops.matmul(x, a!, { transB: true });
    return ops.add(site.project(x), ops.matmul(low, b!, { transB: true, alpha: alpha / rank }));
  },
  materializesWeight: () => false,
  lookup: "not-on-embeddings",
  batch: "not-batchable",
  merge: {
    graph: ({ weight, bias }, { [A]: a, [B]: b }, _site, { rank, alpha }) => ({
      weight: ops.add(weight, ops.matmul(b!, a!, { alpha: alpha / rank })),
      bias,
    }),
    stored: "requantized",
  },
  algebra: "not-composable",
  file: {
    ...PLAIN_FILE,
    peftType: "LORA_FA",
    toConfig: ({ rank, alpha }) => ({ r: rank, lora_alpha: alpha }),
    fromConfig: (take) => ({ rank: take("r"), alpha: take("lora_alpha") }),
  },
});
