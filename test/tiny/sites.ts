/** @file Sites for tests of methods that need no model. */
import type { SiteSpec } from "../../src/models/graphs/sites.ts";

/** A projection that stands alone. */
export function linearSite(name: string, inFeatures: number, outFeatures: number, bias = true): SiteSpec {
  return { name, kind: "linear", role: "other", inFeatures, outFeatures, bias, storedTransposed: false };
}
