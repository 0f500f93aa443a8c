/** @file Checks that a model writes text. */
import { UsageError } from "../../errors.ts";
import type { Model } from "../../models/model.ts";

/** Refuses a model that does not write tokens. @throws UsageError "usage/model" */
export function requireText(name: string, { task, modelType, hasVocabularyHead }: Model): void {
  if (hasVocabularyHead) return;
  throw new UsageError(
    "usage/model",
    `Cannot generate text with model "${name}": it is for ${task} (family ${modelType}), expected causal-lm`,
    {
      hint: "Choose a language model, and no classification adapter: graft classify predicts the class of each text, and graft eval measures how well.",
    },
  );
}
