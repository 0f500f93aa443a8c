/** @file Source: models that were pulled before, or put into the folder of models by hand. */
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
    return damage === null ? await modelInFolder(folder) : unreachable(damage);
  },
};
