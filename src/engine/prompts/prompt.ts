/** @file Checks prompts, and makes the facts of a pass through one text. */
import { UsageError } from "../../errors.ts";
import { showValue } from "../../messages/expected.ts";
import type { Model } from "../../models/model.ts";
import type { PassFacts } from "../../nn/pass.ts";

/** Prompt tokens that run at once: enough to keep the processor busy, few enough for a small mask and a quick stop. */
export const PREFILL_CHUNK = 256;

/**
 * Checks a prompt against the model. @throws UsageError "usage/length" when it is too long, "usage/flag" when it is empty or has
 * ids that are not in the vocabulary
 */
export function checkPrompt({ maxPositions, numOutputs }: Model, promptIds: readonly number[]): void {
  if (promptIds.length === 0) {
    throw new UsageError("usage/flag", "Cannot generate: the prompt is empty, expected at least one token", {
      hint: "Give some text to continue.",
    });
  }
  if (promptIds.length > maxPositions) {
    throw new UsageError(
      "usage/length",
      `Cannot generate: the prompt has ${promptIds.length} tokens, expected at most ${maxPositions}, the model's positions`,
      { hint: "Shorten the prompt, or start a new conversation." },
    );
  }
  const at = promptIds.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < numOutputs));
  if (at >= 0) {
    throw new UsageError(
      "usage/flag",
      `Cannot generate: the prompt has id ${showValue(promptIds[at])}, expected ids below ${numOutputs}`,
      { hint: "Use the tokenizer that belongs to the model." },
    );
  }
}

/** The facts of a pass through one text of `length` tokens, without a cache and not as a prompt. */
export function factsOfText(length: number): PassFacts {
  const positions = BigInt64Array.from({ length }, (_, t) => BigInt(t));
  const segments = new Int32Array(length).fill(1);
  return {
    numRows: 1,
    length,
    positions,
    segments,
    tokenTypes: null,
    keys: { positions, segments },
    textLengths: null,
    isPromptEnd: null,
  };
}
