/** @file A text for benchmarks, long enough for some tokens of any tokenizer. */
import { writeFile } from "node:fs/promises";
import { smallModelText } from "../../tools/small-model/make-text.ts";

/** Bytes of text that surely hold one token. */
const BYTES_PER_TOKEN = 8;

/** Writes a seeded text of at least so many tokens. */
export async function writeEnoughText(path: string, numTokens: number, seed: number): Promise<void> {
  await writeFile(path, smallModelText(numTokens * BYTES_PER_TOKEN, seed));
}
