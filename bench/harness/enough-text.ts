/** @file Text for benchmarks, long enough for a number of tokens of any tokenizer. */
import { writeFile } from "node:fs/promises";
import { smallModelText } from "../../tools/small-model/make-text.ts";

/** Bytes of text per token; tokens are shorter on average. */
const BYTES_PER_TOKEN = 8;

/** Writes a seeded text of at least `numTokens` tokens. */
export async function writeEnoughText(path: string, numTokens: number, seed: number): Promise<void> {
  await writeFile(path, smallModelText(numTokens * BYTES_PER_TOKEN, seed));
}
