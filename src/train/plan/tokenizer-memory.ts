/**
 * @file The memory of a tokenizer, from its number of words and merges and the measured growth of a process that read them
 * (docs/log.md#plans-of-memory).
 */
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";

/** Bytes of a word, or of a merge. */
const ENTRY_BYTES = 165;

/** Estimates the bytes. Plans may have no files: then each word of the model's vocabulary counts with one merge. */
export function tokenizerBytes(files: TokenizerFiles | null, vocabSize: number | null = null): number {
  if (files === null) return 2 * ENTRY_BYTES * (vocabSize ?? 0);
  const { tokens, tokenizer } = files;
  const model = (tokenizer["model"] ?? {}) as { readonly vocab?: object; readonly merges?: unknown };
  const numMerges = Array.isArray(model.merges) ? model.merges.length : 0;
  // `tokens` first: reading `vocab` of a file that lists its words would build the vocabulary.
  const numWords = tokens ? tokens.length : Object.keys(model.vocab ?? {}).length;
  return ENTRY_BYTES * (numWords + numMerges);
}
