/** @file Opens models by name or path: the one door through which the library and the commands go. */
import type { Checkpoint } from "../format/checkpoint/checkpoint.ts";
import * as byPath from "../format/by-path.ts";
import { type ResolveOptions, resolveModel } from "./resolve.ts";

/**
 * Opens the base model called `name` (a path, `OWNER/NAME`, or `OWNER/NAME@REVISION`), fetching it if need be; the caller
 * closes it. @throws as `resolveModel`, and FormatError, UsageError for files that are no model
 */
export async function openCheckpoint(name: string, options: ResolveOptions = {}): Promise<Checkpoint> {
  return await byPath.openCheckpoint((await resolveModel(name, options)).path);
}

/** Loads the base model called `name`; whoever loads closes the checkpoint. @throws as `openCheckpoint` and `loadWeights` */
export async function loadModel(
  name: string,
  options: byPath.LoadByPathOptions & ResolveOptions = {},
): Promise<byPath.LoadedModel> {
  return await byPath.loadOpened(await openCheckpoint(name, options), { name, ...options });
}
