/** @file Which classes of other programs open a model: as its files are found, and as graft writes it. */
import type { Family } from "./family.ts";
import { FAMILIES } from "./families.ts";
import type { Model } from "./model.ts";
import { MODEL_TASKS, type ModelTask } from "./model-tasks.ts";

/** Auto classes of transformers that load a model; null: transformers has no class for what it does. */
export interface AutoClassesOf {
  /** From its own files, which may hold more than graft reads. */
  readonly found: string | null;
  /** From a folder that graft writes of it. */
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

/** Whether transformers.js opens a folder that graft writes of a model: it loads those that tell classes whatever their family. */
export function opensInTransformersJs(model: Described): boolean {
  return !MODEL_TASKS[model.task].writesText || writtenFamily(model).inTransformersJs !== false;
}

/** The family that a folder of a model names: the text part of one that reads images too is one of another. */
function writtenFamily({ family, checkpoint, raw }: Described): Family {
  const { model_type: modelType } = checkpoint.ownConfig(raw);
  if (modelType === family.modelType) return family;
  return FAMILIES.find((other) => other.modelType === modelType) ?? family;
}
