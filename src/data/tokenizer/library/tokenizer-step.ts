/** @file The library's tokenizer as much as it is changed: its steps, and how it cuts texts. */

/** A step that normalizes, splits or decodes, or a list of such steps: as much of the library's classes as is used. */
export interface TokenizerStep {
  pattern?: unknown;
  /** As the file has it. */
  config?: { content?: unknown; pattern?: unknown };
  /** Characters that stand for bytes. */
  byte_encoder?: Readonly<Record<number, string>>;
  byte_decoder?: Readonly<Record<string, number>>;
  /** Tokens that a decoder writes as they are. */
  added_tokens?: readonly { readonly content: string }[];
  /** Reads bytes as text. */
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

/** A token that was added: where it is found, and what it takes away of the text beside it. */
interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Found in text that is normalized. */
  readonly normalized: boolean;
  /** Found as a whole word alone. */
  readonly single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
}

/** Cuts a text at tokens that were added. */
interface Splitter {
  split(text: string): string[];
}

/** A tokenizer, whose tokens that were added cut a text as it is, or once it is normalized. */
export interface SplittingTokenizer {
  readonly normalizer: TokenizerStep | null;
  readonly pre_tokenizer: TokenizerStep | null;
  readonly decoder: TokenizerStep | null;
  readonly added_tokens: readonly AddedToken[];
  readonly added_tokens_map: ReadonlyMap<string, AddedToken>;
  readonly splitter_unnormalized: Splitter;
  readonly splitter_normalized: Splitter;
}
