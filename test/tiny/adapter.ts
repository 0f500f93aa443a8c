/** @file Adapters of tiny models, as folders. */
import { openTextParts } from "../../src/engine/open-text-model.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { saveAdapter } from "../files/save-adapter.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";

/** How an adapter is made. */
interface Made {
  readonly options?: object;
  /** How far its numbers are from their start. */
  readonly deviation?: number;
  readonly chatTemplateHash?: string | null;
}

/** Writes an adapter that changes what a model says, and gives its folder. */
export async function writeTinyAdapter(
  modelPath: string,
  folder: string,
  method: string,
  seed: number,
  { options = {}, deviation = 0.3, chatTemplateHash = null }: Made = {},
): Promise<string> {
  const { base, checkpoint } = await openTextParts(modelPath);
  const adapter = await attachTo(base, findMethod(method), options, null, seed);
  perturb(adapter, deviation, seed);
  await saveAdapter(folder, adapter, { base, checkpoint }, chatTemplateHash);
  await checkpoint.close();
  return folder;
}
