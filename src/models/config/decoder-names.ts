/** @file Names in files of a decoder's modules outside its blocks. */

/** Names of the modules outside the blocks; `blocks` is the prefix before the number of a block. */
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
  /** The projection to logits; absent: `lm_head`. */
  readonly head?: string;
  /** Its name in transformers' class; absent: as in files. */
  readonly headInClass?: string;
  /** Tensors in files that are not needed; absent: those of `PLAIN_CHECKPOINT`. */
  readonly ignored?: RegExp;
}

/** The usual names. */
export const DECODER_NAMES: DecoderNames = {
  embedding: "model.embed_tokens",
  finalNorm: "model.norm",
  blocks: "model.layers.",
};

/** Norms before the branches of a block that also has norms after them. */
export const PRE_NORMS_OF_FOUR = { attention: "input_layernorm", mlp: "pre_feedforward_layernorm" };
