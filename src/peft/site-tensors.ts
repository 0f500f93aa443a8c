/** @file The tensors of an adapter at its sites: trained ones with their initial values, and frozen ones. */
import { assertInternal } from "../errors.ts";
import { sameShape, showShape } from "../graph/shape.ts";
import type { BaseModel, LendFloats } from "../models/base/base-model.ts";
import type { DerivedLease } from "../models/base/derived-tensors.ts";
import type { Random } from "../random.ts";
import { type HostTensor, zeros, type Tensors } from "../runtime/host-tensor.ts";
import type { AdaptedSite, Layout } from "./layout.ts";
import type { AdapterMethod } from "./method.ts";
import type { Parameter } from "./parameters.ts";
import type { SiteStart, SiteTensors } from "./sites/site.ts";
import { weightOf } from "./sites/site-weight.ts";

/** An adapter whose sites are known. */
interface LaidOut extends Pick<Layout, "sites" | "options"> {
  readonly method: AdapterMethod;
  readonly parameters: readonly Parameter[];
}

export class SiteTensorSet {
  readonly #base: BaseModel;
  readonly #method: AdapterMethod;
  readonly #tensors = new Map<AdaptedSite, Record<string, HostTensor>>();
  /** Frozen tensors that all sites share, by suffix. */
  readonly shared = new Map<string, HostTensor>();
  /** Leases of tensors that are shared with other adapters of the base. */
  readonly #leases: DerivedLease[] = [];

  private constructor(base: BaseModel, method: AdapterMethod, parameters: readonly Parameter[]) {
    this.#base = base;
    this.#method = method;
    for (const { owner, value } of parameters) {
      if (owner.kind === "site") this.#own(owner.site)[owner.suffix] = value;
    }
  }

  /**
   * Makes the frozen tensors and, for a fresh adapter, fills the trained ones. `random` null: trained tensors, and those in an
   * adapter's file, are left for the caller to fill. @throws as the method
   */
  static async create(
    base: BaseModel,
    { method, sites, options, parameters }: LaidOut,
    random: Random | null,
  ): Promise<SiteTensorSet> {
    const set = new SiteTensorSet(base, method, parameters);
    const all = [...sites.values()];
    if (random !== null || all.some(drawsAgain)) {
      const specs = all.map(({ spec }) => spec);
      const drawn = method.frozen.share(specs, options);
      for (const [suffix, tensor] of Object.entries(drawn)) set.shared.set(suffix, tensor);
    }
    try {
      const lend = lendAgain();
      for (const site of all) await set.#fill(site, random, lend);
    } catch (error) {
      set.release();
      throw error;
    }
    return set;
  }

  /** Tensors of a site, trained and frozen, by suffix. */
  of(site: AdaptedSite): Tensors {
    return this.#own(site);
  }

  #own(site: AdaptedSite): Record<string, HostTensor> {
    const own = this.#tensors.get(site) ?? {};
    this.#tensors.set(site, own);
    return own;
  }

  async #fill(site: AdaptedSite, random: Random | null, lend: LendFloats): Promise<void> {
    const { path, options } = site;
    const { trained, frozen } = this.#method;
    const tensors = this.#own(site);
    for (const spec of site.frozen) {
      if (spec.saved && !spec.shared) tensors[spec.suffix] = zeros("float32", spec.shape);
    }
    const start: SiteStart = {
      ...site,
      tensors: { ...tensors } as SiteTensors,
      ...weightOf(this.#base, path, lend),
      shareOnBase: async (key, make) => {
        const lease = await this.#base.derived.acquire(JSON.stringify([this.#method.name, path, key]), make);
        this.#leases.push(lease);
        return lease.tensors;
      },
    };
    const made = await frozen.freeze(start, options);
    if (random !== null) await trained.init(start, options, random);
    for (const { suffix, shape, dtype, shared } of site.frozen) {
      if (shared && random === null && !this.shared.has(suffix)) this.shared.set(suffix, zeros(dtype, shape));
      const found = shared ? this.shared.get(suffix) : (made[suffix] ?? tensors[suffix]);
      assertInternal(
        found?.dtype === dtype && sameShape(found.shape, shape),
        `frozen tensor ${suffix} of ${path} is ${found ? `${found.dtype} ${showShape(found.shape)}` : "missing"}, expected ${dtype} ${showShape(shape)}`,
      );
      tensors[suffix] = found;
    }
  }

  /** Releases what is shared with other adapters. */
  release(): void {
    for (const lease of this.#leases.splice(0)) lease.release();
  }
}

/** Lends the same memory repeatedly: otherwise the weights of all sites stay in memory until V8 collects, 54 MB for DoRA on SmolLM2. */
function lendAgain(): LendFloats {
  let memory = new Float32Array(0);
  return (length) => {
    if (memory.length < length) memory = new Float32Array(length);
    return memory.subarray(0, length);
  };
}

/** Whether a site has shared tensors that an adapter's file leaves out. */
function drawsAgain({ frozen }: AdaptedSite): boolean {
  return frozen.some(({ shared, saved }) => shared && !saved);
}
