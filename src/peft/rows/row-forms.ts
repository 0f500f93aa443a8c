/**
 * @file The tensors that an adapter gives to its rows of a batch. They are made once, when the adapter is added, and from
 * the base's weights where a method needs these.
 */
import { Graph } from "../../graph/graph.ts";
import { neededInputs } from "../../graph/program.ts";
import { knownShape } from "../../graph/shape.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Engine, Program } from "../../runtime/engine.ts";
import { type HostTensor, zeros } from "../../runtime/host-tensor.ts";
import type { Adapter } from "../attach.ts";
import type { AdaptedSite } from "../layout.ts";
import type { RowBatch, RowForm, StackedBatch } from "../contract/row-batch.ts";
import { NO_CHANGE, formVector, vectorsOf } from "./row-vectors.ts";
import { inputSite } from "../sites/site-inputs.ts";
import type { SiteTensors } from "../sites/site.ts";

/** A place where rows differ. */
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

/** An adapter that rows may have. */
export interface RowMember {
  readonly adapter: Adapter;
  readonly batch: RowBatch<unknown>;
  /** Places by path, like the forms. */
  readonly places: ReadonlyMap<string, RowPlace>;
  readonly forms: ReadonlyMap<string, RowForm<unknown>>;
}

/** Makes what rows need of an adapter; a text: why they cannot have it beside others. */
export async function formRows(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
): Promise<RowMember | string> {
  const { batch } = adapter.method;
  const vectors = vectorsOf(base, adapter);
  if (batch === "not-batchable") return `its method is ${adapter.method.name}`;
  if (!vectors) return "it has more of the base than vectors";
  // Vectors outside the modules are not picked: all rows read those of the base.
  if (batch.added && vectors.length > 0) return `it has ${vectors[0]!.name} of its own`;
  const apart = [...adapter.sites.values()].find((site) => !tellsRowsApart(site));
  if (apart) return `it sits on ${apart.path}`;
  const places = new Map<string, RowPlace>();
  const forms = new Map<string, RowForm<unknown>>();
  for (const vector of vectors) {
    const { name: path, input: name, layer } = vector;
    places.set(path, { path, layer, name, site: null });
    forms.set(path, await formVector(base, vector));
  }
  const programs = new Map<string, Promise<Program>>();
  try {
    for (const [path, site] of adapter.sites) {
      places.set(path, { path, layer: site.layer, name: site.spec.name, site });
      const tensors = adapter.tensorsOf(site) as SiteTensors;
      const made = await computeOfBase(engine, base, adapter, site, batch, programs);
      const form = batch.form({ ...tensors, ...made }, site.spec, site.options);
      if (!form) return `its settings at ${path} are its own`;
      forms.set(path, form);
    }
  } finally {
    for (const program of programs.values()) await (await program.catch(() => null))?.release();
  }
  return { adapter, batch, places, forms };
}

/** Whether the input of a module still has rows: in the blocks it has, but not where experts take single tokens. */
function tellsRowsApart({ layer, spec }: AdaptedSite): boolean {
  return layer !== null && spec.ofTokens !== true;
}

/** Bytes that the forms of an adapter take where they are as large as weights; else 0: they are small. */
export function largeFormBytes({ method, sites }: Pick<Adapter, "method" | "sites">): number {
  if (method.batch === "not-batchable" || !method.batch.added) return 0;
  return [...sites.values()].reduce((sum, { spec }) => sum + 4 * spec.inFeatures * spec.outFeatures, 0);
}

/** What a row has without an adapter; null: there is no such row. */
export function formOfBase(batch: StackedBatch<unknown>, { site }: RowPlace): RowForm<unknown> | null {
  return site ? batch.identity(site.spec, site.options) : NO_CHANGE;
}

/** Computes what a form needs of the base's weights at a site, by name; sites of equal sizes and options share a program. */
async function computeOfBase(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
  site: AdaptedSite,
  { ofBase }: RowBatch<unknown>,
  programs: Map<string, Promise<Program>>,
): Promise<SiteTensors> {
  if (!ofBase) return {};
  const { spec, options, path } = site;
  const key = JSON.stringify([{ ...spec, name: "" }, options, site.parameters, site.frozen]);
  let compiled = programs.get(key);
  if (!compiled) {
    const { weights, values, inputs } = inputSite(new Graph(), site);
    const outputs = ofBase(weights, values, spec, options);
    const name = `rows-${adapter.method.name}`;
    compiled = engine.compile({ name, inputs: neededInputs(outputs, inputs), outputs });
    programs.set(key, compiled);
  }
  const program = await compiled;
  const feeds: Record<string, HostTensor> = {};
  for (const [suffix, tensor] of Object.entries(adapter.tensorsOf(site))) {
    if (suffix in program.spec.inputs) feeds[suffix] = tensor;
  }
  for (const own of ["weight", "bias"]) {
    const name = `${path}.${own}`;
    if (own in program.spec.inputs) feeds[own] = adapter.tensor(name) ?? (await base.values(name));
  }
  const made = Object.fromEntries(
    Object.entries(program.spec.outputs).map(([name, { shape }]) => [
      name,
      zeros("float32", knownShape(shape)),
    ]),
  );
  await program.run(feeds, made);
  return made;
}
