/**
 * @file Merges an adapter into the base, giving the weights of an ordinary model that computes the same. Written once for all
 * methods; a method only defines how the weights of one projection change.
 */
import { z } from "zod";
import { checkArguments, lazily } from "../messages/arguments.ts";
import { UsageError } from "../errors.ts";
import { A_BASE, type BaseModel } from "../models/base/base-model.ts";
import type { SiteSpec } from "../models/graphs/sites.ts";
import { moduleOf } from "../models/module-path.ts";
import { AN_ENGINE, type Engine, type Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor, zeros } from "../runtime/host-tensor.ts";
import { madeOnce, releaseMade } from "../runtime/made-once.ts";
import { type Adapter, AN_ADAPTER } from "./attach.ts";
import type { AdaptedSite } from "./layout.ts";
import { type MergePlace, compileMerge } from "./merge-program.ts";
import { makesModel } from "./method.ts";
import { requireOwnBase } from "./own-base.ts";
import { feedSite } from "./sites/site-inputs.ts";
import { trainedRowsIn } from "./trained-base/token-rows.ts";
import { type TrainedRows, putRows } from "./trained-base/trained-rows.ts";
import { whyNotMerged } from "./why-not-merged.ts";

const ARGUMENTS = lazily(() => z.strictObject({ engine: AN_ENGINE, base: A_BASE, adapter: AN_ADAPTER }));

/** Computes merged tensors one at a time, by Hugging Face name. */
export class Merger {
  readonly #engine: Engine;
  readonly #base: BaseModel;
  readonly #adapter: Adapter;
  /** Trained rows, by the name of their tensor. */
  readonly #rows: ReadonlyMap<string, TrainedRows>;
  readonly #places = new Map<string, MergePlace>();
  /** Sites of equal sizes and options share a program; null: the tensor does not change. */
  readonly #programs = new Map<string, Promise<Program | null>>();

  /** @throws UsageError "usage/adapter" when the method's result is not a change of weights. */
  constructor(engine: Engine, base: BaseModel, adapter: Adapter) {
    checkArguments("mergeAdapter", ARGUMENTS, { engine, base, adapter });
    const reason = whyNotMerged(adapter);
    if (reason !== null) {
      throw new UsageError("usage/adapter", `Cannot merge ${reason}`, {
        hint: "Use the adapter together with its base model.",
      });
    }
    this.#engine = engine;
    this.#base = base;
    this.#adapter = adapter;
    this.#rows = new Map(
      trainedRowsIn(adapter.parameters).map((each) => [`${each.rows.readers[0]}.weight`, each]),
    );
    for (const site of adapter.sites.values()) {
      for (const [path, spec] of projectionsOf(site, adapter)) {
        this.#places.set(`${path}.weight`, { site, part: "weight", spec });
        if (spec.bias) this.#places.set(`${path}.bias`, { site, part: "bias", spec });
      }
    }
  }

  /** Returns the site that changes a tensor, and which of the site's tensors it is. */
  placeOf(name: string): MergePlace | undefined {
    return this.#places.get(name);
  }

  /**
   * Returns the names of the tensors that the adapter may change. An adapter on the embedding changes only the look-up, one on
   * the head only the head; so if they share a matrix, the head is listed too and gets a separate one.
   */
  names(): string[] {
    const { model } = this.#base;
    const trained = this.#adapter.parameters.flatMap(({ owner, name }) =>
      owner.kind === "base" && !owner.tensor.rows ? [name] : [],
    );
    const names = new Set([...trained, ...this.#places.keys()]);
    for (const [own, tied] of model.ties) {
      if (names.has(tied) && !makesModel(this.#adapter.method)) names.add(own);
    }
    // Trained rows of a table apply to a head tied to it too, unless it has trained rows of its own, so on their own they do not
    // untie it.
    return [...new Set([...names, ...this.#rows.keys()])];
  }

  /** Returns the shape of a tensor of the merged model. */
  shapeOf(name: string): readonly number[] {
    const { model } = this.#base;
    return model.tensors.get(model.storedName(name))?.shape ?? [];
  }

  /** Writes the merged values of a tensor to the caller's memory. @returns false, having written nothing, when it does not change */
  async mergeInto(name: string, into: Float32Array): Promise<boolean> {
    const rows = this.#rows.get(name);
    if (rows) {
      into.set((await this.#base.values(name)).data);
      putRows(into, rows.rows.ids, this.#adapter.tensor(rows.name)!);
      return true;
    }
    const trained = this.#adapter.tensor(name);
    const place = this.placeOf(name);
    if (trained) into.set(trained.data);
    if (trained && !place) return true;
    if (!place && this.#base.model.ties.has(name)) {
      // The adapter is only on the embedding.
      into.set((await this.#base.values(name)).data);
      return true;
    }
    if (!place) return false;
    const { site } = place;
    const program = await this.#program(place);
    if (!program) return trained !== null;
    const { inputs } = program.spec;
    const feeds = await feedSite({ base: this.#base, adapter: this.#adapter }, site, moduleOf(name), inputs);
    const shape = program.spec.outputs["merged"]?.shape as readonly number[];
    await program.run(feeds, { merged: hostTensor("float32", shape, into) });
    return true;
  }

  #program(place: MergePlace): Promise<Program | null> {
    const { site, part, spec } = place;
    const { kind, inFeatures, outFeatures, bias, storedTransposed } = spec;
    const inStack = spec === site.spec ? null : spec.stack;
    const sizes = [kind, inFeatures, outFeatures, bias, storedTransposed, inStack];
    const key = JSON.stringify([part, ...sizes, site.options]);
    return madeOnce(this.#programs, key, () => compileMerge(this.#engine, this.#adapter, place));
  }

  /** Frees the programs. */
  release(): Promise<void> {
    return releaseMade(this.#programs);
  }
}

/** The projections that a site changes, by path: itself, or those whose matrices its stack contains. */
function projectionsOf({ path, layer, spec }: AdaptedSite, { model }: Adapter): [string, SiteSpec][] {
  if (spec.kind !== "stack" || layer === null) return [[path, spec]];
  const sites = model.layers[layer]?.sites ?? [];
  return sites
    .filter(({ stack }) => stack?.name === spec.name)
    .map((matrix) => [model.blockPrefix(layer) + matrix.name, matrix]);
}

/**
 * Computes every tensor of the base that the adapter changes, by Hugging Face name, float32. The caller owns them; the base does
 * not change.
 * @throws UsageError "usage/adapter" when the method's result is not a change of weights, or it was made for another base.
 */
export async function mergeAdapter(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
): Promise<Map<string, HostTensor<"float32">>> {
  const merger = new Merger(engine, base, adapter);
  await requireOwnBase(base, [adapter]);
  const merged = new Map<string, HostTensor<"float32">>();
  try {
    for (const name of merger.names()) {
      const tensor = zeros("float32", merger.shapeOf(name));
      if (await merger.mergeInto(name, tensor.data)) merged.set(name, tensor);
    }
  } finally {
    await merger.release();
  }
  return merged;
}
