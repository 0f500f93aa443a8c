/** @file A step of the library's tokenizer. */

/** A step that normalizes, splits or decodes, or a list of such steps: as much of the library's classes as is used. */
export interface TokenizerStep {
  pattern?: unknown;
  config?: { content?: unknown };
  /** Characters that stand for bytes. */
  byte_encoder?: Readonly<Record<number, string>>;
  use_regex?: boolean;
  add_prefix_space?: boolean;
  normalizers?: (TokenizerStep | null)[];
  tokenizers?: (TokenizerStep | null)[];
  decoders?: (TokenizerStep | null)[];
  normalize?(text: string): string;
  pre_tokenize_text?(text: string, options: unknown): string[];
  decode_chain?(tokens: string[]): string[];
}
