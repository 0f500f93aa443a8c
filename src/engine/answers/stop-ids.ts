/** @file Finds the ids that end a text. */
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { Checkpoint } from "../../format/checkpoint/checkpoint.ts";

/** Ids that end a text: the tokenizer's eos and those of the settings; some settings use -1 for none. */
export function stopIdsOf(tokenizer: Tokenizer, { generationConfig, config }: Checkpoint): number[] {
  const listed = [generationConfig?.["eos_token_id"], config["eos_token_id"], tokenizer.eosId].flat();
  return [...new Set(listed.filter((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0))];
}
