/** @file Opens models by name or path, for both the library and the commands. */
import { z } from "zod";
import { type Checkpoint, GGUF_ENDING } from "../format/checkpoint/checkpoint.ts";
import * as byPath from "../format/by-path.ts";
import { A_NAME, checkArguments, lazily } from "../messages/arguments.ts";
import { FAMILY_LIST } from "../models/family.ts";
import { openOperandCache } from "./operands/operand-cache.ts";
import { RESOLVE_SETTINGS, type ResolveOptions, resolveModel } from "./resolve.ts";

const ARGUMENTS = lazily(() =>
  z.strictObject({
    options: RESOLVE_SETTINGS().extend({
      name: A_NAME.optional(),
      adapter: A_NAME.optional(),
      families: FAMILY_LIST.optional(),
    }),
  }),
);

/**
 * Opens the base model called `name` (a path, `OWNER/NAME`, or `OWNER/NAME@REVISION`), fetching it if need be; the caller
 * closes it. @throws as `resolveModel`, and FormatError, UsageError for files that are no model
 */
export async function openCheckpoint(name: string, options: ResolveOptions = {}): Promise<Checkpoint> {
  const { path } = await resolveModel(name, options);
  if (!path.endsWith(GGUF_ENDING)) return await byPath.openCheckpoint(path);
  // Before the file is opened: if another file replaces it meanwhile, the cache must not match.
  const operands = await openOperandCache(path, options.env ?? process.env);
  return { ...(await byPath.openCheckpoint(path)), operands };
}

/** Loads the base model called `name`; the caller closes the checkpoint. @throws as `openCheckpoint` and `loadWeights` */
export async function loadModel(
  name: string,
  options: byPath.LoadByPathOptions & ResolveOptions = {},
): Promise<byPath.LoadedModel> {
  checkArguments("loadModel", ARGUMENTS, { options });
  const { name: own = name, adapter, families, ...resolving } = options;
  return await byPath.loadOpened(await openCheckpoint(name, resolving), { name: own, adapter, families });
}
