/** @file All kinds of tokenizers of GGUF files, by `tokenizer.ggml.model`. To add one: its file and one line here. */
import { bytePairs } from "./byte-pairs.ts";
import { mergedPieces, pieces } from "./pieces.ts";
import type { TokenizerKind } from "./tokenizer-kind.ts";

export const TOKENIZER_KINDS = { gpt2: bytePairs, llama: pieces, gemma4: mergedPieces } satisfies Record<
  string,
  TokenizerKind
>;
