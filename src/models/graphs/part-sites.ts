/** @file The sites of a part: their list, what projectors add to them, and which of their values are worth saving. */
import type { Graph, Value } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import type { PassInput } from "../../nn/pass.ts";
import { moduleOf } from "../module-path.ts";
import type { DropoutMasks } from "./dropout-masks.ts";
import type { Projector, SiteGraph } from "./site-graph.ts";
import type { SiteSpec } from "./sites.ts";

/** The frozen parts of a projection. */
export type FrozenSite = Pick<SiteGraph, "weight" | "bias" | "project">;

/** What projectors may use of the part that their sites are in. */
interface SitesParts {
  readonly graph: Graph;
  readonly masks: DropoutMasks;
  /** Tied matrices: name of the matrix → name of the embedding's tensor. */
  readonly ties: ReadonlyMap<string, string>;
  readonly save: (name: string, value: Value) => Value;
  readonly context: (input: PassInput) => Value;
}

/** Settings for building a site. */
interface Placing {
  readonly projector: Projector;
  /** Draws dropout. */
  readonly training: boolean;
  /** Distinguishes the inputs of a site that multiplies several values; masks and activations are named after it. */
  readonly place: string;
}

/** The result of a projector at a site. */
interface PlacedSite {
  readonly output: Value;
  /** Whether the projector added no inputs. */
  readonly isPlain: boolean;
  /** Whether something smaller is saved instead of the output, from which the output is recomputed. */
  readonly isCheap: boolean;
}

export class PartSites {
  readonly specs: SiteSpec[] = [];
  /** How often sites were declared, by name. */
  readonly #numUses = new Map<string, number>();
  /** Inputs that projectors added, by site and name: `self_attn.q_proj.lora_A.weight`. */
  readonly adapter: Record<string, Value> = {};
  readonly #parts: SitesParts;

  constructor(parts: SitesParts) {
    this.#parts = parts;
  }

  /** Declares a site at its first use; returns the place of the value that it multiplies. */
  declare(spec: SiteSpec): { readonly place: string; readonly isFirst: boolean } {
    const { name, ofTokens } = spec;
    const count = (this.#numUses.get(name) ?? 0) + 1;
    this.#numUses.set(name, count);
    if (count === 1) {
      this.specs.push(spec);
      return { place: name, isFirst: true };
    }
    const at = this.specs.findIndex((known) => known.name === name);
    if (ofTokens) this.specs[at] = { ...this.specs[at]!, ofTokens };
    return { place: `${name}#${count}`, isFirst: false };
  }

  /** Returns a function that adds inputs named after a site. */
  inputOf(site: string): SiteGraph["input"] {
    return (suffix, shape, dtype) => {
      const name = `${site}.${suffix}`;
      return (this.adapter[name] ??= this.#parts.graph.input(name, dtype, shape));
    };
  }

  /** Builds a site's projection of x by its projector. */
  place(spec: SiteSpec, frozen: FrozenSite, x: Value, { projector, training, place }: Placing): PlacedSite {
    const { name } = spec;
    const { masks, ties, save, context } = this.#parts;
    let [isCheap, isPlain] = [false, true];
    const adding =
      (input: SiteGraph["input"]): SiteGraph["input"] =>
      (...of) => {
        isPlain = false;
        return input(...of);
      };
    const site: SiteGraph = {
      spec,
      get weight() {
        return frozen.weight;
      },
      bias: frozen.bias,
      project: (value) => frozen.project(value),
      input: adding(this.inputOf(name)),
      inputOfStack: (...of) => {
        if (!spec.stack) throw new TypeError(`Cannot add inputs of a stack: "${name}" is in none`);
        return adding(this.inputOf(spec.stack.name))(...of);
      },
      inputOfTied: (...of) => {
        const tied = ties.get(`${name}.weight`);
        if (tied === undefined)
          throw new TypeError(`Cannot add inputs of a tied module: "${name}" is not tied`);
        return adding(this.inputOf(moduleOf(tied)))(...of);
      },
      dropout: (value, probability, unit = "number") => {
        if (!training || probability === 0) return value;
        return mul(value, masks.of(place, value, probability, unit));
      },
      context,
      save: (suffix, value, { insteadOfOutput } = { insteadOfOutput: false }) => {
        isCheap ||= insteadOfOutput;
        return save(`${place}.${suffix}`, value);
      },
    };
    const output = projector(site, x);
    return { output, isCheap, isPlain };
  }
}
