/** @file Which models can be written as ONNX files. */
import { UsageError } from "../../errors.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { fitsHeadCache } from "../../nn/attention.ts";

/** The error of a model that such files cannot hold. */
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

/** @throws UsageError "usage/model" for a model that reads no text, or that writes it by blocks ONNX Runtime has no cache for */
export function requireExportable(base: Pick<BaseModel, "name" | "model">): void {
  const { task, embedding, hasVocabularyHead, layers } = base.model;
  if (!embedding) {
    const hint = "Use it with graft: graft classify.";
    throw unexportable(base, `it is for ${task}`, "one that reads text", hint);
  }
  if (!hasVocabularyHead) return;
  const block = layers.findIndex(({ attention }) => !attention || !fitsHeadCache(attention));
  if (block < 0) return;
  const width = layers[block]!.attention?.headWidth;
  const found = width === undefined ? "no attention" : `heads of ${width} elements`;
  throw unexportable(
    base,
    `block ${block} has ${found}`,
    "attention with heads of a multiple of 16 elements",
  );
}
