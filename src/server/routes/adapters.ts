/** @file POST /v1/load_lora_adapter and /v1/unload_lora_adapter, in vLLM's form. The adapters may be of any method. */
import { orNearest } from "../../messages/nearest.ts";
import { ApiError } from "../api-error.ts";
import { defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";
import { waitInTime } from "../within-time.ts";
import { LOAD_ADAPTER_REQUEST, UNLOAD_ADAPTER_REQUEST } from "../wire.ts";

export const loadAdapter = defineRoute({
  method: "post",
  path: "/v1/load_lora_adapter",
  summary: "Load an adapter for requests",
  access: "admin",
  body: LOAD_ADAPTER_REQUEST,
  answer: { whole: "text/plain" },
  handle: async ({ body, context, state }) => {
    const { lora_name: name, lora_path: path, load_inplace: replaces } = body;
    const loaded = (): Response => context.text(`Success: LoRA adapter '${name}' added successfully.`);
    if (await state.fineTuning?.owns(name)) {
      await giveBack(name, path, state);
      return loaded();
    }
    if (!state.adapterRoot) {
      throw new ApiError(
        403,
        "loading_disabled",
        "This server does not load adapters for clients: start it with --adapter-root FOLDER",
      );
    }
    const folder = await state.adapterRoot.find(path, "lora_path");
    const mayReplace = replaces === true;
    const isTaken = name === state.name || (!mayReplace && state.model.engine.adapters.has(name));
    const param = isTaken ? "lora_name" : "lora_path";
    await waitInTime(state, (signal) =>
      state.models.loadFor(name, folder, { path, param, mayReplace, signal }),
    );
    return loaded();
  },
});

/** Makes the result of a job available again. @throws ApiError 400 for another adapter with its name, 404 when there is none yet */
async function giveBack(name: string, path: string, state: ServerState): Promise<void> {
  if (path !== name) {
    throw new ApiError(
      400,
      "usage/adapter",
      `The name "${name}" belongs to a model trained by a job: choose another, or pass it as lora_path too, to serve that model again`,
      { param: "lora_name" },
    );
  }
  await state.fineTuning?.giveBack(name);
  await state.models.adapterOf(name);
}

export const unloadAdapter = defineRoute({
  method: "post",
  path: "/v1/unload_lora_adapter",
  summary: "Unload an adapter; running texts that use it continue",
  access: "admin",
  body: UNLOAD_ADAPTER_REQUEST,
  answer: { whole: "text/plain" },
  handle: ({ body: { lora_name: name }, context, state }) => {
    const { adapters } = state.model.engine;
    if (!adapters.has(name)) {
      const names = adapters.list().map((each) => each.name);
      const known = orNearest(name, names);
      throw new ApiError(404, "model_not_found", `The adapter "${name}" is not loaded${known}`, {
        param: "lora_name",
      });
    }
    state.models.unload(name);
    return context.text(`Success: LoRA adapter '${name}' removed successfully.`);
  },
});
