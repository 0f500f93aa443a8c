/** @file What must hold while a run goes on: finite numbers, and parameters that move. */
import type { TrainingExample } from "../data/batch.ts";
import { describeSource } from "../data/row-file.ts";
import { FailedError, UsageError } from "../errors.ts";
import type { RunFolder } from "./files/run-folder.ts";

/** Makes the error of a run that has left the finite numbers; it names the checkpoint to go back to. */
export async function divergence(folder: RunFolder, found: string, step: number): Promise<FailedError> {
  const kept = await folder.newest();
  const checkpoint = kept === null ? "" : `; the newest checkpoint is ${folder.checkpoint(kept)}`;
  return new FailedError("train/nan", `Cannot go on training: ${found} in step ${step}`, {
    hint: `Choose a lower learning rate or clip gradients${checkpoint}`,
  });
}

/** Refuses to save what could not be trained on. @throws FailedError "train/nan" */
export async function requireFinite(values: Float32Array, folder: RunFolder, step: number): Promise<void> {
  const bad = values.find((value) => !Number.isFinite(value));
  if (bad !== undefined) throw await divergence(folder, `a parameter is ${bad}`, step);
}

/** Refuses to go on when a step with a learning rate changed nothing. @throws FailedError "train/no-movement" */
export function requireMovement(
  before: Float32Array,
  after: Float32Array,
  step: number,
  gradientNorm: number,
): void {
  if (after.some((value, i) => value !== before[i])) return;
  throw new FailedError(
    "train/no-movement",
    `Cannot train: no parameter moved in step ${step}, gradient norm ${gradientNorm}`,
    { hint: "Check that the target modules are used and that the learning rate is not too small" },
  );
}

/** Refuses tokens that the embedding has no row for. @throws UsageError "usage/model" */
export function requireKnownIds(examples: readonly TrainingExample[], vocabSize: number): void {
  for (const example of examples) {
    if ("pixels" in example) continue;
    const { ids, source } = example;
    const unknown = ids.find((id) => id >= vocabSize);
    if (unknown === undefined) continue;
    throw new UsageError(
      "usage/model",
      `Cannot use example "${describeSource(source)}": token id ${unknown}, expected less than ${vocabSize}`,
      { hint: "The tokenizer has more tokens than the model's embedding: use the model's own tokenizer" },
    );
  }
}
