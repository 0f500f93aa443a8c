/** @file Settings for state-space layers of Mamba 2. */
import { z } from "zod";
import type { Mamba2Options } from "../../nn/mamba2.ts";
import { MAX_HEAD_WIDTH, MAX_TAPS } from "../../untrusted/limits.ts";
import { unusable } from "./hf-config.ts";
import type { RawConfig } from "./raw-config.ts";

const size = z.int().positive();
/** Infinity, as transformers writes it in JSON, or a number larger than any step. */
const ENDLESS = z.union([z.number().min(1e9), z.strictObject({ __float__: z.literal("Infinity") })]);

export const MAMBA_FIELDS = {
  mamba_n_heads: size.default(128),
  mamba_n_groups: z.literal(1).nullish(),
  mamba_d_state: size.max(MAX_HEAD_WIDTH).default(256),
  mamba_d_head: z.union([size, z.literal("auto")]).default("auto"),
  mamba_d_conv: z.int().min(2).max(MAX_TAPS).default(4),
  mamba_expand: z.number().positive().default(2),
  mamba_conv_bias: z.boolean().default(true),
  mamba_proj_bias: z.boolean().default(false),
  time_step_limit: z.tuple([z.literal(0), ENDLESS]).nullish(),
  /** Ignored: only affects how it is computed. */
  mamba_chunk_size: z.unknown().optional(),
};

type MambaFields = Omit<z.output<z.ZodObject<typeof MAMBA_FIELDS>>, "mamba_n_groups"> & {
  readonly mamba_n_groups?: number | null | undefined;
  /** Width of all heads together; absent: `mamba_expand` times that of the model. */
  readonly mamba_d_ssm?: number | null;
  readonly hidden_size: number;
  readonly rms_norm_eps: number;
};

/**
 * Returns the options of its layers. @throws UsageError "usage/model" for heads that do not fill the width, or groups that do not
 * divide them
 */
export function mambaOptions(raw: RawConfig, c: MambaFields): Mamba2Options {
  const { mamba_n_heads: numHeads, mamba_d_head: given, mamba_expand: expand, mamba_d_ssm: width } = c;
  const headWidth = (width ?? expand * c.hidden_size) / numHeads;
  if (!Number.isInteger(headWidth) || !["auto", headWidth].includes(given)) {
    const expected = `${width ?? `${expand} times the width`}, cut into ${numHeads}`;
    throw unusable(raw, `mamba_d_head is ${given} (expected ${expected})`);
  }
  const numGroups = c.mamba_n_groups ?? 1;
  if (numHeads % numGroups !== 0)
    throw unusable(raw, `mamba_n_groups is ${numGroups} (expected a divisor of mamba_n_heads, ${numHeads})`);
  return {
    numHeads,
    headWidth,
    numGroups,
    stateWidth: c.mamba_d_state,
    numTaps: c.mamba_d_conv,
    bias: { convolution: c.mamba_conv_bias, input: c.mamba_proj_bias, output: c.mamba_proj_bias },
    normed: "gated",
    epsilon: c.rms_norm_eps,
  };
}
