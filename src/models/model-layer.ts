/** @file What a block of a model declares, found by building it once. */
import type { AttentionOptions } from "../nn/builder.ts";
import type { RecentOptions } from "./graphs/part-earlier.ts";
import type { Branch } from "./graphs/part-branches.ts";
import type { PartGraph } from "./graphs/part-graph.ts";
import type { StateOptions } from "./graphs/part-state.ts";
import type { SiteSpec, TensorSpec } from "./graphs/sites.ts";

/** What a part (stem, block or head) of a model declares. */
export interface Part {
  readonly tensors: readonly TensorSpec[];
  readonly sites: readonly SiteSpec[];
}

/** What a layer declares; names are paths inside the block. */
export interface ModelLayer extends Part {
  /** Equal for layers that share programs. */
  readonly kind: number;
  readonly branches: readonly Branch[];
  readonly attention: AttentionOptions | null;
  /** The layer whose keys and values it reads; null: it has its own, if it attends. */
  readonly keysFrom: number | null;
  /** What is kept of the last few tokens instead of keys and values; null: nothing. */
  readonly recent: RecentOptions | null;
  /** The states that are kept for all tokens together. */
  readonly states: readonly StateOptions[];
}

/** Elements of a token's keys in all layers; its values have as many. */
export function keyWidth({
  layers,
}: {
  readonly layers: readonly Pick<ModelLayer, "attention" | "keysFrom">[];
}): number {
  const widths = layers.map(({ attention, keysFrom }) =>
    attention && keysFrom === null ? attention.numKeyValueHeads * attention.headWidth : 0,
  );
  return widths.reduce((sum, width) => sum + width, 0);
}

/** What the layers of a kind declare, taken from one of them built without an adapter. */
export function declaredLayer(kind: number, part: PartGraph): ModelLayer {
  const isOfSite = ({ name }: TensorSpec): boolean =>
    part.sites.some((site) => name === `${site.name}.weight` || name === `${site.name}.bias`);
  return {
    kind,
    // Tensors of projections come last, the order that graft's files have always had.
    tensors: [...part.specs.filter((spec) => !isOfSite(spec)), ...part.specs.filter(isOfSite)],
    sites: part.sites,
    branches: part.branches.map(({ name, numMultiplications, attention }) => ({
      name,
      numMultiplications,
      attention,
    })),
    attention: part.attention?.options ?? null,
    keysFrom: null,
    recent: part.recent?.options ?? null,
    states: part.stateOptions,
  };
}
