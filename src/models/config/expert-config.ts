/** @file Settings for experts. */
import { z } from "zod";
import { unusable } from "./hf-config.ts";
import type { RawConfig } from "./raw-config.ts";

/** Settings in Qwen's files for routers and for which layers have one. */
export const SPARSE_FIELDS = {
  norm_topk_prob: z.boolean().default(false),
  decoder_sparse_step: z.int().positive().default(1),
  mlp_only_layers: z.array(z.int().min(0)).nullish(),
};

/** `SPARSE_FIELDS` as they are read. */
type SparseFields = z.output<z.ZodObject<typeof SPARSE_FIELDS>>;

/** Lists the layers in order; those without experts are `dense`. */
export function sparseLayers<L>(
  c: SparseFields & { readonly num_hidden_layers: number },
  { withExperts, dense }: { readonly withExperts: L; readonly dense: L },
): readonly L[] {
  return Array.from({ length: c.num_hidden_layers }, (_, layer) =>
    (layer + 1) % c.decoder_sparse_step === 0 && !c.mlp_only_layers?.includes(layer) ? withExperts : dense,
  );
}

/** Reads the number of experts and of those chosen for a token. @throws UsageError "usage/model" if more are chosen than there are */
export function readExperts(
  raw: RawConfig,
  c: { readonly num_experts: number; readonly num_experts_per_tok: number },
): { readonly numExperts: number; readonly numChosen: number } {
  const { num_experts: numExperts, num_experts_per_tok: numChosen } = c;
  if (numChosen <= numExperts) return { numExperts, numChosen };
  throw unusable(raw, `num_experts_per_tok is ${numChosen} (expected at most num_experts, ${numExperts})`);
}
