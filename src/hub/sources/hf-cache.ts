/**
 * @file Source: the cache of Hugging Face's own tools, read in place and never written.
 *
 * It is `$HF_HUB_CACHE`, otherwise `$HF_HOME/hub`, otherwise `~/.cache/huggingface/hub`, with an entry models--OWNER--NAME for
 * each repository.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

import type { Environment } from "../../environment.ts";
import { findSnapshot, MAIN } from "../hf-snapshots.ts";
import { expandHome } from "../model-name.ts";
import { cacheFolderOf, modelInFolder } from "../models-folder.ts";
import { unreachable, type ModelSource } from "../source.ts";

/** The cache folder of Hugging Face's tools. */
function hubCacheOf(env: Environment): string {
  const given = env["HF_HUB_CACHE"] || env["HUGGINGFACE_HUB_CACHE"];
  if (given) return expandHome(given, env);
  return join(expandHome(env["HF_HOME"] || join(cacheFolderOf(env), "huggingface"), env), "hub");
}

/** Finds models that transformers, huggingface_hub and others fetched. */
export const hfCache: ModelSource = {
  name: "Hugging Face cache",
  async find(model, context) {
    if (model.repository === null) return null;
    const entry = join(hubCacheOf(context.env), `models--${model.repository.replaceAll("/", "--")}`);
    if (!existsSync(entry)) return unreachable(`nothing at ${entry}`);
    const snapshot = await findSnapshot(entry, model.revision);
    if (snapshot === null) return unreachable(`${entry} has no snapshot of ${model.revision ?? MAIN}`);
    return await modelInFolder(snapshot);
  },
};
