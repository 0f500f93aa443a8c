/** @file Source: models that were pulled before, or that somebody put into the folder of models by hand. */
import { findDamage } from "../download/manifest.ts";
import { entryFolder, modelInFolder } from "../models-folder.ts";
import { unreachable, type ModelSource } from "../source.ts";

/** Finds models in the cache folder. */
export const cache: ModelSource = {
  name: "cache",
  async find(model, context) {
    if (model.repository === null) return null;
    const folder = entryFolder(context.modelsFolder, model.repository, model.revision);
    const damage = await findDamage(folder, context);
    if (damage !== null) return unreachable(damage);
    const entry = await modelInFolder(folder);
    return "path" in entry ? { kind: "found", path: entry.path } : unreachable(entry.problem);
  },
};
