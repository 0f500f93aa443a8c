/** @file A model of files that stays open until the tests around it have ended. */
import { after } from "node:test";
import { type LoadedModel, loadModel } from "../../src/format/by-path.ts";

export async function openUntilEnd(...model: Parameters<typeof loadModel>): Promise<LoadedModel> {
  const loaded = await loadModel(...model);
  after(() => loaded.checkpoint.close());
  return loaded;
}
