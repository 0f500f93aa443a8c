/**
 * @file Source: the small files of a model on the hub, its configuration and tokenizer, where these tell the sizes of its
 * weights; otherwise the whole model, as hub.ts finds it.
 */
import { existsSync } from "node:fs";
import { outlineStorage } from "../../format/checkpoint/outlined-checkpoint.ts";
import { readJson } from "../../format/files/folder.ts";
import { nodeFolder } from "../../format/files/node-folder.ts";
import { findDamage } from "../download/manifest.ts";
import { entryFolder, outlinesFolderOf } from "../models-folder.ts";
import type { Source } from "../source.ts";
import { copyFromHub, hub } from "./hub.ts";

/** Weights, and what says which files hold which of them. */
const WEIGHTS = /\.safetensors(\.index\.json)?$/;

/** Finds what a plan needs of a model on the hub. */
export const hubOutline: Source = {
  name: hub.name,
  async find(model, context) {
    if (model.repository === null) return null;
    const outlines = outlinesFolderOf(context.env);
    const folder = entryFolder(outlines, model.repository, model.revision);
    const isThere = existsSync(folder) && (await findDamage(folder, true, context.signal)) === null;
    if (!isThere) {
      const small = await copyFromHub(model, outlines, context, (files) =>
        files.filter(({ name }) => !WEIGHTS.test(name)),
      );
      if (small?.kind !== "found") return small;
    }
    const config = await readJson(nodeFolder(folder), "config.json");
    return outlineStorage(config) === null ? await hub.find(model, context) : { kind: "found", path: folder };
  },
};
