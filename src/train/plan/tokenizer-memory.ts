/**
 * @file What a tokenizer takes of a process: by its words and the pairs that they are merged of, as the process was seen to grow
 * while they were read (docs/log.md#plans-of-memory).
 */
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";

/** Bytes of a word, or of a merge. */
const ENTRY_BYTES = 165;

/** Estimates the bytes. Without files, which only plans are, each word of the model is one and is merged of a pair. */
export function tokenizerBytes(files: TokenizerFiles | null, vocabSize: number | null = null): number {
  if (files === null) return 2 * ENTRY_BYTES * (vocabSize ?? 0);
  const { tokens, tokenizer } = files;
  const model = (tokenizer["model"] ?? {}) as { readonly vocab?: object; readonly merges?: unknown };
  const numMerges = Array.isArray(model.merges) ? model.merges.length : 0;
  // The vocabulary of a file that lists its words would be made if it were looked at.
  const numWords = tokens ? tokens.length : Object.keys(model.vocab ?? {}).length;
  return ENTRY_BYTES * (numWords + numMerges);
}
