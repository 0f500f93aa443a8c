/** @file Checks that a model writes text. */
import { UsageError } from "../../errors.ts";
import type { Model } from "../../models/model.ts";

/** Refuses a model that does not write tokens. @throws UsageError "usage/model" */
export function requireText(name: string, { task, modelType, hasVocabularyHead }: Model): void {
  if (hasVocabularyHead) return;
  throw new UsageError(
    "usage/model",
    `Cannot write text with model "${name}": it is for ${task} (family ${modelType}), expected causal-lm`,
    {
      hint: "Choose a language model, and no adapter of classes: graft classify tells what each text is, and graft eval how well that is told.",
    },
  );
}
