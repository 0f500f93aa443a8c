/** @file Plans the folder of an adapter without its model. */
import { autoClassesOf } from "../../models/auto-classes.ts";
import type { Model } from "../../models/model.ts";
import { usualPeftTakes } from "../../models/config/checkpoint-rules.ts";
import { lastNames, moduleOf } from "../../models/module-path.ts";
import type { AdapterWeights } from "../../peft/algebra/plan.ts";
import { modulesToSave, programThatReads } from "../../peft/method.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { settingsForFile } from "./adapter.ts";
import type { AdapterFolderParts } from "./adapter-folder.ts";
import { PREFIX } from "./adapter-tensors.ts";
import type { WeightsFolder } from "./adapter-weights.ts";
import type { Provenance } from "../cards/model-card.ts";

/** What is known besides the adapter. */
interface FolderFacts extends Pick<WeightsFolder, "baseName" | "taskType" | "notes"> {
  /** The model that it is for; null: not available. */
  readonly model: Model | null;
}

/** Makes the parts of a folder of an adapter without its model. */
export function weightsFolderParts(
  adapter: AdapterWeights,
  targetModules: string | readonly string[] | null,
  { baseName, taskType, notes, model }: FolderFacts,
  provenance: Provenance,
): AdapterFolderParts {
  const names =
    typeof targetModules === "string" ? lastNames(adapter.sites.keys()).sort() : (targetModules ?? []);
  const tensors = new Map<string, HostTensor<"float32">>(adapter.frozen);
  for (const [name, tensor] of adapter.base) tensors.set(PREFIX + name, tensor);
  for (const [path, { tensors: own }] of adapter.sites) {
    for (const [suffix, tensor] of Object.entries(own)) tensors.set(`${PREFIX}${path}.${suffix}`, tensor);
  }
  const { storedTransposed } = adapter;
  const sites = [...adapter.sites].map(([path, { options }]) => ({ path, options, storedTransposed }));
  const settings = settingsForFile(adapter, sites, names, baseName);
  // Whole paths mean the same for every program: those of modules that were named, else of each part.
  const named = modulesToSave(adapter.method, adapter.options) ?? [];
  const whole = [...adapter.base.keys()].map(moduleOf).map((path) => {
    return named.find((name) => path.startsWith(`${name}.`)) ?? path;
  });
  return {
    config: {
      target_modules: targetModules,
      ...settings,
      modules_to_save: settings["modules_to_save"] === null ? null : [...new Set(whole)],
      task_type: taskType,
    },
    tensors,
    metadata: notes,
    readBy:
      programThatReads(adapter, [...adapter.base.keys()], model?.checkpoint.peftTakes ?? usualPeftTakes) ??
      "graft",
    autoClasses: model === null ? undefined : autoClassesOf(model),
    provenance,
  };
}
