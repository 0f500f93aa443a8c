/**
 * @file The text part of SmolVLM 2, which also reads images and videos; it is that of the first version; images are not read.
 *
 * Paper: "SmolVLM: Redefining small and efficient multimodal models", arXiv:2504.05299.
 */
import type { Family } from "../family.ts";
import { idefics3 } from "./idefics3.ts";

export const smolvlm: Family = {
  ...idefics3,
  modelType: "smolvlm",
  summary: "The text part of SmolVLM 2: 256M, 500M and 2.2B",
};
