/**
 * @file Source: the configuration and tokenizer of a model on the hub, if they determine the sizes of its weights; otherwise the
 * whole model.
 */
import { existsSync } from "node:fs";
import { isOfWeights, readOutline } from "../../format/checkpoint/outline.ts";
import { readConfig } from "../../format/checkpoint/config-file.ts";
import { nodeFolder } from "../../format/files/node-folder.ts";
import { HUB_NAME, copyFromHub } from "../download/hub-copy.ts";
import { findDamage } from "../download/manifest.ts";
import { entryFolder, outlinesFolderOf } from "../models-folder.ts";
import type { ModelSource } from "../source.ts";

/** Finds what a plan needs of a model on the hub. */
export const hubOutline: ModelSource = {
  name: HUB_NAME,
  async find(model, context) {
    if (model.repository === null) return null;
    const outlines = outlinesFolderOf(context.env);
    const folder = entryFolder(outlines, model.repository, model.revision);
    const isThere = existsSync(folder) && (await findDamage(folder, context)) === null;
    if (!isThere) {
      const small = await copyFromHub(model, outlines, context, (files) =>
        files.filter(({ name }) => !isOfWeights(name)),
      );
      if (small?.kind !== "found") return small;
    }
    const { settings: config } = await readConfig(nodeFolder(folder));
    const named = { ...nodeFolder(folder), path: model.repository };
    if ((await readOutline(named, config)) !== null) return { kind: "found", path: folder };
    return await copyFromHub(model, context.modelsFolder, context);
  },
};
