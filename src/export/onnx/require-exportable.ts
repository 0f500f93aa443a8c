/** @file Checks which models can be written as ONNX files. */
import { UsageError } from "../../errors.ts";
import type { BaseModel } from "../../models/base/base-model.ts";

/** The error for a model that such files cannot represent. */
export function unexportable(
  { name }: Pick<BaseModel, "name">,
  found: string,
  expected: string,
  hint = "Write it as a folder or a GGUF file: graft merge.",
): UsageError {
  return new UsageError("usage/model", `Cannot export model "${name}": ${found}, expected ${expected}`, {
    hint,
  });
}

/** @throws UsageError "usage/model" for a model that reads no text, or that needs what these files do not support */
export function requireExportable(base: Pick<BaseModel, "name" | "model">): void {
  const { task, embedding, hasVocabularyHead, layers, givesLayers } = base.model;
  if (!embedding) {
    const hint = "Use it with graft: graft classify.";
    throw unexportable(base, `it is for ${task}`, "one that reads text", hint);
  }
  const first = layers.findIndex(({ states }) => states.length > 0);
  if (first >= 0)
    throw unexportable(base, `block ${first} keeps one state per text`, "attention or convolutions");
  const reader = layers.findIndex(({ keysFrom }) => keysFrom !== null);
  if (reader >= 0)
    throw unexportable(base, `block ${reader} reads the keys of another`, "blocks with their own keys");
  if (givesLayers)
    throw unexportable(
      base,
      "its blocks read their own embeddings",
      "blocks that read only the residual stream",
    );
  if (hasVocabularyHead || layers.every(({ recent }) => recent === null)) return;
  throw unexportable(
    base,
    "its convolutions are used for classification",
    "attention, or a model that generates text",
  );
}
