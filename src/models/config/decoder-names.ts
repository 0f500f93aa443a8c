/** @file Modules of a decoder outside of its blocks, by the names that files have for them. */

/** Modules of a decoder outside its blocks, and what precedes the number of a block. */
export interface DecoderNames {
  readonly embedding: string;
  /** A table of learned positions, which is added to the embedding. */
  readonly positions?: string;
  /** Row of that table for position 0; absent: the first. */
  readonly firstPosition?: number;
  /** Other modules before the blocks; absent: there are none. */
  readonly beside?: readonly string[];
  readonly finalNorm: string;
  readonly blocks: string;
  /** The matrix of logits; absent: `lm_head`. */
  readonly head?: string;
  /** What transformers' class calls it; absent: as files do. */
  readonly headInClass?: string;
  /** Tensors in files that are not needed; absent: those of `PLAIN_CHECKPOINT`. */
  readonly ignored?: RegExp;
}

/** What most decoders call them. */
export const DECODER_NAMES: DecoderNames = {
  embedding: "model.embed_tokens",
  finalNorm: "model.norm",
  blocks: "model.layers.",
};

/** Norms before the branches of a block that has others behind them. */
export const PRE_NORMS_OF_FOUR = { attention: "input_layernorm", mlp: "pre_feedforward_layernorm" };
