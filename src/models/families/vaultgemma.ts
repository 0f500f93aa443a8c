/**
 * @file The VaultGemma family: Gemma 2 without the norms after the branches.
 *
 * Report: "VaultGemma: A Differentially Private Gemma Model", arXiv:2510.15001, section 3.
 */
import { z } from "zod";
import { CAPPED_GEMMA_FIELDS, cappedGemma } from "../blocks/gemma.ts";
import type { Family } from "../family.ts";
import { parseConfig } from "../config/hf-config.ts";

const SCHEMA = z.object(CAPPED_GEMMA_FIELDS);

export const vaultgemma: Family = {
  modelType: "vaultgemma",
  summary: "VaultGemma: 1B",
  traits:
    "Gemma 2 without the norms behind the branches: norms whose weights count from one; every second layer has a window; attention scores and logits stay under a cap; embeddings are scaled.",
  autoClasses: { "sequence-classification": null },
  gguf: "not-in-gguf",
  open: (raw) => cappedGemma(raw, parseConfig(SCHEMA, raw), false),
};
