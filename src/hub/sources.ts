/** @file All sources of models, in the order in which they are tried. */
import { cache } from "./sources/cache.ts";
import { hfCache } from "./sources/hf-cache.ts";
import { hubOutline } from "./sources/hub-outline.ts";
import { hub } from "./sources/hub.ts";
import { localPath } from "./sources/local-path.ts";
import { knownPackages } from "./sources/package-mirror.ts";
import type { ModelSource } from "./source.ts";

export const SOURCES: readonly ModelSource[] = [localPath, cache, hfCache, hub, knownPackages];

/**
 * The sources for users that need no weights, such as a plan: of a model on the hub only the small files are fetched, if they are
 * enough.
 */
export const OUTLINE_SOURCES: readonly ModelSource[] = SOURCES.map((source) =>
  source === hub ? hubOutline : source,
);
