/** @file The program that computes the merged weight or bias of one projection, as the method defines it. */
import type { Value } from "../graph/graph.ts";
import { requireValue } from "../graph/require-value.ts";
import { transpose } from "../graph/ops/shapes/transpose.ts";
import { neededInputs } from "../graph/program.ts";
import type { SiteSpec } from "../models/graphs/sites.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import type { Adapter } from "./attach.ts";
import type { AdaptedSite } from "./layout.ts";
import { type Method, splitStack } from "./method.ts";
import { inputSite } from "./sites/site-inputs.ts";
import type { SiteWeights } from "./sites/site.ts";

type Part = "weight" | "bias";

/** The tensor of the base that a site changes. */
export interface MergePlace {
  readonly site: AdaptedSite;
  readonly part: Part;
  /** The projection that has the tensor: the site's own, or one whose matrix lies in the site's stack. */
  readonly spec: SiteSpec;
}

/** Builds the merged weights of a projection that a site changes, with their inputs. */
export function buildMerge(
  method: Method,
  site: AdaptedSite,
  spec: SiteSpec,
): {
  readonly weights: SiteWeights;
  readonly merged: SiteWeights;
  readonly inputs: Record<string, Value>;
} | null {
  if (method.kind === "base" || method.merge === "not-mergeable") return null;
  const { weights, values, inputs } = inputSite({ ...site, spec });
  const own = spec === site.spec ? values : splitStack(method, values, site.spec)[spec.stack!.index]!;
  const made: Partial<SiteWeights> = method.merge.graph(weights, own, spec, site.options) ?? {};
  const isWhat = (part: Part): string =>
    `method "${method.name}" at "${site.path}": the ${part} that merge.graph() returns is`;
  const like = weights.weight;
  const weight = requireValue(made.weight, { like, shape: like.shape }, isWhat("weight"));
  const bias = made.bias && requireValue(made.bias, { like, shape: [spec.outFeatures] }, isWhat("bias"));
  return { weights, merged: { weight, bias: bias ?? null }, inputs };
}

/** Compiles the program of a place; null: its tensor does not change. */
export async function compileMerge(
  engine: Engine,
  { method }: Adapter,
  { site, part, spec }: MergePlace,
): Promise<Program | null> {
  const built = buildMerge(method, site, spec);
  const merged = built?.merged[part];
  // A value that is returned unchanged needs no program, which could not have an input as its output either.
  if (!built || !merged || merged === built.weights[part]) return null;
  const outputs = { merged: spec.storedTransposed && part === "weight" ? transpose(merged, [1, 0]) : merged };
  return await engine.compile({
    name: `merge-${method.name}`,
    inputs: neededInputs(outputs, built.inputs),
    outputs,
  });
}
