/** @file Which classes of other programs open a model: from its original files, and from those that graft writes. */
import type { Family } from "./family.ts";
import { FAMILIES } from "./families.ts";
import type { Model } from "./model.ts";
import { MODEL_TASKS, type ModelTask } from "./model-tasks.ts";

/** Auto classes of transformers that load a model; null: transformers has no class for its task. */
export interface AutoClassesOf {
  /** From its original files, which may hold more than graft reads. */
  readonly found: string | null;
  /** From a folder that graft writes. */
  readonly written: string | null;
}

type Described = Pick<Model, "family" | "task" | "checkpoint" | "raw">;

/** Names the auto class that loads models of a family for a task. */
export function autoClass({ autoClasses = {} }: Family, task: ModelTask): string | null {
  const own = autoClasses[task];
  return own === undefined ? MODEL_TASKS[task].loader : own;
}

/** Names the auto classes that load a model. */
export function autoClassesOf(model: Described): AutoClassesOf {
  const { family, task } = model;
  return { found: autoClass(family, task), written: autoClass(writtenFamily(model), task) };
}

/** Whether transformers.js opens a folder that graft writes of a model; classifiers it loads whatever their family. */
export function opensInTransformersJs(model: Described): boolean {
  return !MODEL_TASKS[model.task].writesText || writtenFamily(model).inTransformersJs !== false;
}

/**
 * The family that a written folder names: of a model that also reads images only the text part is written, which is of another family.
 */
function writtenFamily({ family, checkpoint, raw }: Described): Family {
  const { model_type: modelType } = checkpoint.ownConfig(raw);
  if (modelType === family.modelType) return family;
  return FAMILIES.find((other) => other.modelType === modelType) ?? family;
}
