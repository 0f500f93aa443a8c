/**
 * @file The text part of Qwen 2.5 models that also read images, which is that of Qwen 2's; images are not read.
 *
 * Report: "Qwen2.5-VL Technical Report", arXiv:2502.13923.
 */
import type { Family } from "../family.ts";
import { qwen2Vl } from "./qwen2-vl.ts";

export const qwen25Vl: Family = {
  ...qwen2Vl,
  modelType: "qwen2_5_vl",
  summary: "The text part of Qwen2.5-VL: 3B, 7B, 32B and 72B",
  traits:
    "The blocks of Qwen 2.5. The vision tower is skipped: images are not read. GGUF files are read as those of Qwen 2.",
};
