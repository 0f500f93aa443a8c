/** @file Counts what attaching would put on a model, before any weight is read. */
import { DTYPES } from "../graph/dtype.ts";
import { numElements } from "../graph/shape.ts";
import type { Model } from "../models/model.ts";
import { type AttachRequest, type KeptAs, type Layout, layOut } from "./layout.ts";
import type { FrozenSpec } from "./sites/site.ts";

/** The size of what `attach` would make. */
export interface Preview {
  /** Modules that would get an adapter. */
  readonly paths: readonly string[];
  readonly numTrained: number;
  /** Bytes of the adapter's frozen tensors. */
  readonly frozenBytes: number;
  /** Bytes of those that an adapter's file holds. */
  readonly savedBytes: number;
}

/** Counts what `attach` would make. @throws as `attach` */
export function previewAttach(model: Model, kept: KeptAs, request: AttachRequest): Preview {
  return previewLayout(layOut(model, kept, request));
}

/** Counts the tensors of a layout. */
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
