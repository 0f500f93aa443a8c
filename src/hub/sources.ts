/** @file All sources of models, in the order in which they are tried. */
import { cache } from "./cache.ts";
import { hfCache } from "./hf-cache.ts";
import { hub } from "./hub-source.ts";
import { localPath } from "./local-path.ts";
import { knownPackages } from "./package-source.ts";
import type { Source } from "./source.ts";

export const SOURCES: readonly Source[] = [localPath, cache, hfCache, hub, knownPackages];
