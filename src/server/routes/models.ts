/** @file /v1/models: lists the base and its adapters. Adapters that jobs have trained can be removed. */
import { MODELS_ANSWER, MODEL_ANSWER, deletedAnswer } from "../answers/list-answers.ts";
import { ApiError } from "../api-error.ts";
import { requireJobs } from "../jobs/require-jobs.ts";
import { defineRoute } from "../route.ts";
import type { ListedModel } from "../served-models.ts";
import type { ServerState } from "../server-state.ts";

/** Clients do not learn where an adapter is stored: `root` is its name. */
function describe({ id, created, path }: ListedModel, state: ServerState): object {
  const parent = path === null ? null : state.name;
  const { maxTokens: max_model_len } = state.model;
  return { id, object: "model", created, owned_by: "graft", max_model_len, root: id, parent };
}

export const listModels = defineRoute({
  method: "get",
  path: "/v1/models",
  summary: "List the base and its adapters",
  access: "read",
  body: null,
  answer: { whole: MODELS_ANSWER },
  handle: ({ context, state }) =>
    context.json({ object: "list", data: state.models.list().map((model) => describe(model, state)) }),
});

export const getModel = defineRoute({
  method: "get",
  path: "/v1/models/:model{.+}",
  summary: "Describe a model",
  access: "read",
  body: null,
  answer: { whole: MODEL_ANSWER },
  handle: async ({ context, state }) => {
    const name = context.req.param("model") ?? "";
    await state.models.adapterOf(name);
    return context.json(
      describe(
        state.models.list().find(({ id }) => id === name)!,
        state,
      ),
    );
  },
});

export const deleteModel = defineRoute({
  method: "delete",
  path: "/v1/models/:model{.+}",
  summary: "Delete a model that a job has trained, with its checkpoints",
  access: "train",
  body: null,
  answer: { whole: deletedAnswer("model") },
  handle: async ({ context, state }) => {
    const id = context.req.param("model") ?? "";
    // A model that an operator has unloaded can still be removed.
    if (!state.models.isWithdrawn(id)) await state.models.adapterOf(id);
    if (!(await requireJobs(state).removeResult(id))) {
      throw new ApiError(
        400,
        "model_not_removable",
        `The model "${id}" was not trained by a job here; it can be unloaded but not deleted`,
        { param: "model" },
      );
    }
    return context.json({ id, object: "model", deleted: true });
  },
});
