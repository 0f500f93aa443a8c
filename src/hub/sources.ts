/** @file All sources of models, in the order in which they are tried. */
import { cache } from "./sources/cache.ts";
import { hfCache } from "./sources/hf-cache.ts";
import { hub } from "./sources/hub.ts";
import { localPath } from "./sources/local-path.ts";
import { knownPackages } from "./sources/package-mirror.ts";
import type { Source } from "./source.ts";

export const SOURCES: readonly Source[] = [localPath, cache, hfCache, hub, knownPackages];
