/** @file Source: the Hugging Face hub, or a mirror of it, from which models are copied into the cache. */
import { HUB_NAME, copyFromHub } from "../download/hub-copy.ts";
import type { ModelSource } from "../source.ts";

/** Finds models on the hub and copies them into the cache. */
export const hub: ModelSource = {
  name: HUB_NAME,
  find: (model, context) => copyFromHub(model, context.modelsFolder, context),
};
