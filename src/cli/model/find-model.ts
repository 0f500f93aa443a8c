/** @file Finds the model that a command runs on: the given one, that of the adapter, or the default. */
import { basename, resolve } from "node:path";
import { FailedError, FormatError, GraftError, UsageError } from "../../errors.ts";
import { readAdapterConfig } from "../../format/by-path.ts";
import { DEFAULT_MODEL, type ResolvedModel } from "../../hub/resolve.ts";
import type { CommandIO } from "../command.ts";
import { pullWithProgress } from "./pull-model.ts";

/** Flags that determine the model. */
interface WhichModel {
  readonly model?: string | undefined;
  readonly adapter?: string | undefined;
}

/** A model on the disk, with its name. */
export interface FoundModel extends ResolvedModel {
  readonly name: string;
}

/** A model's name for clients; for a model given by its path, the last part of the path. */
export function servedName({ name, path }: Pick<FoundModel, "name" | "path">): string {
  const isPath = name === path || /^\.\.?[\\/]/.test(name);
  return isPath ? basename(resolve(name)).replace(/\.gguf$/, "") : name;
}

/** Reads the model that an adapter was made for. @throws UsageError "usage/adapter" when the adapter does not name it */
async function baseOf(adapter: string): Promise<string> {
  const { base_model_name_or_path: base, revision } = await readAdapterConfig(adapter);
  if (typeof base !== "string" || base === "") {
    throw new UsageError(
      "usage/adapter",
      `Cannot find the model of adapter "${adapter}": base_model_name_or_path of adapter_config.json is ${JSON.stringify(base)}, expected a name`,
      { hint: "Give the model it was made for as --model." },
    );
  }
  return typeof revision === "string" && /^[^/]+\/[^/]+$/.test(base) ? `${base}@${revision}` : base;
}

/** Adds to an error that the model was named by an adapter. */
function ofAdapter(error: unknown, adapter: string, name: string): unknown {
  if (!(error instanceof GraftError)) return error;
  const message = `Cannot find model "${name}", for which adapter "${adapter}" was made: ${error.message}`;
  const hint =
    "Give the model as --model: the adapter may have been made in another folder or on another machine.";
  const details = { hint, cause: error };
  if (error instanceof FormatError) return new FormatError(error.code, message, details);
  return error instanceof FailedError ? new FailedError(error.code, message, details) : error;
}

/**
 * Finds the model that a command runs on, and fetches it with a progress bar; without --model uses that of the adapter, and
 * prints its name.
 * @throws as `resolveModel`; UsageError "usage/adapter", FormatError for an adapter that does not name its model
 */
export async function findModel({ model, adapter }: WhichModel, io: CommandIO): Promise<FoundModel> {
  if (model !== undefined || adapter === undefined) {
    const name = model ?? DEFAULT_MODEL;
    return { name, ...(await pullWithProgress(name, io)) };
  }
  const name = await baseOf(adapter);
  let found: ResolvedModel;
  try {
    found = await pullWithProgress(name, io);
  } catch (error) {
    throw ofAdapter(error, adapter, name);
  }
  io.stderr(`Model: ${name}, for which the adapter was made`);
  return { name, ...found };
}
