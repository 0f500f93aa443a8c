/** @file The parts of the library's tokenizer that are changed: its steps, and how it splits texts. */

/** A step that normalizes, splits or decodes, or a list of such steps, as far as the library's classes are used. */
export interface TokenizerStep {
  pattern?: unknown;
  /** The settings in the file. */
  config?: { content?: unknown; pattern?: unknown };
  /** Characters that represent bytes. */
  byte_encoder?: Readonly<Record<number, string>>;
  byte_decoder?: Readonly<Record<string, number>>;
  /** Tokens that a decoder writes unchanged. */
  added_tokens?: readonly { readonly content: string }[];
  /** Decodes bytes to text. */
  text_decoder?: InstanceType<typeof TextDecoder>;
  use_regex?: boolean;
  add_prefix_space?: boolean;
  normalizers?: (TokenizerStep | null)[];
  tokenizers?: (TokenizerStep | null)[];
  decoders?: (TokenizerStep | null)[];
  normalize?(text: string): string;
  pre_tokenize_text?(text: string, options: unknown): string[];
  decode_chain?(tokens: string[]): string[];
  convert_tokens_to_string?(tokens: string[]): string;
}

/** An added token: where it is found, and what it removes from the text beside it. */
interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Found in text that is normalized. */
  readonly normalized: boolean;
  /** Found only as a whole word. */
  readonly single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
}

/** Splits a text at added tokens. */
interface Splitter {
  split(text: string): string[];
}

/** A tokenizer that splits a text at its added tokens, before or after the text is normalized. */
export interface SplittingTokenizer {
  readonly normalizer: TokenizerStep | null;
  readonly pre_tokenizer: TokenizerStep | null;
  readonly decoder: TokenizerStep | null;
  readonly added_tokens: readonly AddedToken[];
  readonly added_tokens_map: ReadonlyMap<string, AddedToken>;
  readonly splitter_unnormalized: Splitter;
  readonly splitter_normalized: Splitter;
}
