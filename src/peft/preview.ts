/** @file What attaching would put on a model, counted before any weight is read. */
import { DTYPES } from "../graph/dtype.ts";
import { numElements } from "../graph/shape.ts";
import type { Model } from "../models/model.ts";
import { type AttachRequest, type KeptAs, type Layout, layOut } from "./layout.ts";
import type { FrozenSpec } from "./sites/site.ts";

/** What `attach` would do, known before any weight is read. */
export interface Preview {
  /** Modules that would get an adapter. */
  readonly paths: readonly string[];
  readonly numTrained: number;
  /** Memory of the tensors beside the base that are not trained. */
  readonly frozenBytes: number;
  /** Bytes of these that lie in an adapter's file. */
  readonly savedBytes: number;
}

/** Looks ahead at `attach`. @throws as `attach`. */
export function previewAttach(model: Model, kept: KeptAs, request: AttachRequest): Preview {
  return previewLayout(layOut(model, kept, request));
}

/** Counts what a layout makes. */
export function previewLayout({ sites, trainedBase }: Layout): Preview {
  const all = [...sites.values()];
  const trained = [...trainedBase, ...all.flatMap((site) => site.parameters)];
  const frozen = all.flatMap((site) => site.frozen);
  const shared = new Map(frozen.filter((spec) => spec.shared).map((spec) => [spec.suffix, spec]));
  const held = [...frozen.filter((spec) => !spec.shared), ...shared.values()];
  const bytesOf = (specs: readonly FrozenSpec[]): number =>
    specs.reduce((sum, { shape, dtype }) => sum + numElements(shape) * DTYPES[dtype].sizeBytes, 0);
  return {
    paths: [...sites.keys()],
    numTrained: trained.reduce((sum, { shape }) => sum + numElements(shape), 0),
    frozenBytes: bytesOf(held),
    savedBytes: bytesOf(held.filter(({ saved }) => saved)),
  };
}
