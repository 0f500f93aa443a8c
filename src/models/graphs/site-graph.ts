/** @file What a method builds with at a site: the frozen parts of a projection or a look-up, and inputs of its own. */
import type { DType } from "../../graph/dtype.ts";
import type { Value } from "../../graph/graph.ts";
import type { Shape } from "../../graph/shape.ts";
import type { PassInput } from "../../nn/pass.ts";
import type { DropoutUnit } from "./dropout-masks.ts";
import type { SiteSpec } from "./sites.ts";

/** The frozen parts of a projection and what may be built around them; of the residual stream, the identity. */
export interface SiteGraph {
  readonly spec: SiteSpec;
  /** [out, in] @throws TypeError on the residual stream, which has none */
  readonly weight: Value;
  /** [out], or null when the layer has none. */
  readonly bias: Value | null;
  /** x [..., in] to x Wᵀ + b. */
  project(x: Value): Value;
  /** Adds an input of the program, named after the site: an adapter's tensor. */
  input(name: string, shape: Shape, dtype: DType): Value;
  /** As `input`, named after the stack that the site's matrix lies in. @throws TypeError where it lies in none */
  inputOfStack: SiteGraph["input"];
  /** As `input`, named after the module that has the site's matrix too. @throws TypeError where there is none */
  inputOfTied: SiteGraph["input"];
  /**
   * Multiplies x by a mask of zeros and 1/(1-p), drawn by whoever runs the program; x itself when not training or p = 0.
   * `unit`: what is kept or dropped at once, by default a number.
   */
  dropout(x: Value, probability: number, unit?: DropoutUnit): Value;
  /** A tensor that is made for each pass; all sites share it. */
  context(input: PassInput): Value;
  /**
   * Saves a value for the backward program, unless that is given no activations: one that takes long to compute, or, with
   * `insteadOfOutput`, one from which the site's output follows cheaply.
   */
  save(name: string, value: Value, how?: { readonly insteadOfOutput: boolean }): Value;
}

/** A site whose projection is built by another projector, so that several may sit there; its inputs are told apart by a suffix. */
export function withProjector(site: SiteGraph, project: SiteGraph["project"], suffix: string): SiteGraph {
  return {
    spec: site.spec,
    bias: site.bias,
    dropout: (x, probability, unit) => site.dropout(x, probability, unit),
    context: (input) => site.context(input),
    save: (name, value, how) => site.save(name, value, how),
    get weight() {
      return site.weight;
    },
    project,
    input: (name, shape, dtype) => site.input(name + suffix, shape, dtype),
    inputOfStack: (name, shape, dtype) => site.inputOfStack(name + suffix, shape, dtype),
    inputOfTied: (name, shape, dtype) => site.inputOfTied(name + suffix, shape, dtype),
  };
}

/** The frozen parts of a look-up of embeddings and what may be built around them. */
export interface LookupGraph {
  readonly spec: SiteSpec;
  /** int64 [B, T] */
  readonly ids: Value;
  /** The rows of the base, [B, T, out]. */
  readonly rows: Value;
  /** Adds an input of the program, named after the site: an adapter's tensor. */
  input(name: string, shape: Shape, dtype: DType): Value;
}

/** A tensor of the base in a part, and what may be built around it. */
export interface TensorGraph {
  /** Its name in the part. */
  readonly name: string;
  /** The tensor as the base has it. */
  readonly value: Value;
  /** Adds an input of the program, named after the tensor. */
  input(name: string, shape: Shape, dtype: DType): Value;
}

/** Reads a tensor of a part; of a vector [D] it may give one for each row, [B, D], in a head [N, D]. */
export type ReadTensor = (graph: TensorGraph) => Value;

/** A tensor as the base has it. */
export const AS_IN_BASE: ReadTensor = (graph) => graph.value;

/** Builds the projection of a site. */
export type Projector = (site: SiteGraph, x: Value) => Value;

/** Builds the look-up of a site. */
export type LookUp = (graph: LookupGraph) => Value;

/** The projection of a site without an adapter. */
export const FROZEN: Projector = (site, x) => site.project(x);

/** The look-up of a site without an adapter. */
export const FROZEN_ROWS: LookUp = (graph) => graph.rows;
