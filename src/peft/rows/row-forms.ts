/** @file The tensors of an adapter for its rows of a batch, made once, when the adapter is added. */
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { Adapter } from "../attach.ts";
import { moduleOf } from "../../models/module-path.ts";
import type { AdaptedSite } from "../layout.ts";
import type { BatchRule, RowForm, StackedBatch } from "../contract/batch-rule.ts";
import { BaseForms } from "./base-forms.ts";
import { NO_CHANGE, formVector, vectorsOf } from "./row-vectors.ts";
import type { SiteTensors } from "../sites/site.ts";

/** A place where rows can differ. */
export interface RowPlace {
  /** Full path of the module, or name of the vector. */
  readonly path: string;
  /** Null outside the blocks. */
  readonly layer: number | null;
  /** The path in its layer. */
  readonly name: string;
  /** Null: a vector of the base. */
  readonly site: AdaptedSite | null;
}

/** Identifies a place within a model. */
export function keyOf({ layer, name }: Pick<RowPlace, "layer" | "name">): string {
  return `${layer} ${name}`;
}

/** An adapter that rows may have. */
export interface RowMember {
  readonly adapter: Adapter;
  readonly batch: BatchRule<unknown>;
  /** Places by path, like the forms. */
  readonly places: ReadonlyMap<string, RowPlace>;
  readonly forms: ReadonlyMap<string, RowForm<unknown>>;
}

/** Makes the forms of an adapter; returns a text that says why rows cannot have it beside others, if so. */
export async function formRows(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
): Promise<RowMember | string> {
  const { batch } = adapter.method;
  const vectors = vectorsOf(base, adapter);
  if (batch === "not-batchable") return `its method is ${adapter.method.name}`;
  if (!vectors) return "it trains more of the base than vectors";
  // Vectors of the base cannot be picked: all rows read the base's own.
  if (batch.added && vectors.length > 0) return `it has ${vectors[0]!.name} of its own`;
  const bias = vectors.find(
    ({ name, layer }) => layer !== null && base.model.siteOf(moduleOf(name))?.ofTokens,
  );
  if (bias) return `it has ${bias.name} of its own`;
  const apart = [...adapter.sites.values()].find((site) => !tellsRowsApart(site));
  if (apart) return `it sits on ${apart.path}`;
  const places = new Map<string, RowPlace>();
  const forms = new Map<string, RowForm<unknown>>();
  for (const vector of vectors) {
    const { name: path, input: name, layer } = vector;
    places.set(path, { path, layer, name, site: null });
    forms.set(path, await formVector(base, vector));
  }
  const ofBase = new BaseForms(engine, base, adapter, batch);
  try {
    for (const [path, site] of adapter.sites) {
      places.set(path, { path, layer: site.layer, name: site.spec.name, site });
      const tensors = adapter.tensorsOf(site) as SiteTensors;
      const made = await ofBase.compute(site);
      const form = batch.form({ ...tensors, ...made }, site.spec, site.options);
      if (!form) return `its settings at ${path} are its own`;
      forms.set(path, form);
    }
  } finally {
    await ofBase.release();
  }
  return { adapter, batch, places, forms };
}

/** Whether the input of a module is in rows: this holds in the blocks, except where experts take single tokens. */
function tellsRowsApart({ layer, spec }: AdaptedSite): boolean {
  return layer !== null && spec.ofTokens !== true;
}

/** Bytes of an adapter's forms if they are as large as weights; 0 if they are small. */
export function largeFormBytes({ method, sites }: Pick<Adapter, "method" | "sites">): number {
  if (method.batch === "not-batchable" || !method.batch.added) return 0;
  return [...sites.values()].reduce((sum, { spec }) => sum + 4 * spec.inFeatures * spec.outFeatures, 0);
}

/** The form of a row without an adapter; null: there can be no such row. */
export function formOfBase(batch: StackedBatch<unknown>, { site }: RowPlace): RowForm<unknown> | null {
  return site ? batch.identity(site.spec, site.options) : NO_CHANGE;
}
