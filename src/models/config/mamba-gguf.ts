/** @file GGUF rules for state-space layers of Mamba 2. */
import { count } from "./decoder-gguf.ts";

/** Its layers: modules, tensors that are not weights of modules, changes, and settings for sizes. */
export const MAMBA = {
  names: {
    ssm_in: "mamba.in_proj",
    ssm_conv1d: "mamba.conv1d",
    ssm_norm: "mamba.norm",
    ssm_out: "mamba.out_proj",
  },
  tensors: { ssm_a: "mamba.A_log", ssm_d: "mamba.D", "ssm_dt.bias": "mamba.dt_bias" },
  changes: { ssm_conv1d: "taps", ssm_norm: "as-row", ssm_a: "decay-column", ssm_d: "as-column" },
  /** `width` is the key for the width of all heads together. */
  settings: (width: string) => ({
    "ssm.conv_kernel": count("mamba_d_conv"),
    "ssm.inner_size": count(width),
    "ssm.state_size": count("mamba_d_state"),
    "ssm.group_count": count("mamba_n_groups", 1),
    "ssm.time_step_rank": count("mamba_n_heads"),
  }),
} as const;
