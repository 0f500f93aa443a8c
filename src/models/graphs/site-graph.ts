/** @file What a method builds with at a site: the frozen parts of a projection or a look-up, and its own inputs. */
import type { DType } from "../../graph/dtype.ts";
import type { Value } from "../../graph/graph.ts";
import type { Shape } from "../../graph/shape.ts";
import type { PassInput } from "../../nn/pass.ts";
import type { DropoutUnit } from "./dropout-masks.ts";
import type { SiteSpec } from "./sites.ts";

/** The frozen parts of a projection, and functions to build around them; for the residual stream the projection is the identity. */
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
  /** Like `input`, but named after the stack of the site's matrix. @throws TypeError where it is in none */
  inputOfStack: SiteGraph["input"];
  /** Like `input`, but named after the module that the site's matrix is tied to. @throws TypeError where it is not tied */
  inputOfTied: SiteGraph["input"];
  /**
   * Multiplies x by a mask of zeros and 1/(1-p), drawn by the runner of the program; returns x itself when not training or p = 0.
   * `unit`: what is kept or dropped together; default: single numbers.
   */
  dropout(x: Value, probability: number, unit?: DropoutUnit): Value;
  /** Returns a tensor that is made for each pass; all sites share it. */
  context(input: PassInput): Value;
  /**
   * Saves a value for a backward program that is given activations: one that is expensive to compute, or, with `insteadOfOutput`,
   * one from which the site's output follows cheaply.
   */
  save(name: string, value: Value, how?: { readonly insteadOfOutput: boolean }): Value;
}

/** Replaces the projection of a site by that of another projector, so that several can be combined; a suffix distinguishes its inputs. */
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

/** The frozen parts of an embedding look-up, and functions to build around them. */
export interface LookupGraph {
  readonly spec: SiteSpec;
  /** int64 [B, T] */
  readonly ids: Value;
  /** The rows of the base, [B, T, out]. */
  readonly rows: Value;
  /** Adds an input of the program, named after the site: an adapter's tensor. */
  input(name: string, shape: Shape, dtype: DType): Value;
}

/** A tensor of the base in a part, and functions to build around it. */
export interface TensorGraph {
  /** Its name in the part. */
  readonly name: string;
  /** The tensor of the base. */
  readonly value: Value;
  /** Adds an input of the program, named after the tensor. */
  input(name: string, shape: Shape, dtype: DType): Value;
}

/** Reads a tensor of a part; for a vector [D] it may return one for each row, [B, D], in a head [N, D]. */
export type ReadTensor = (graph: TensorGraph) => Value;

/** Reads a tensor unchanged. */
export const AS_IN_BASE: ReadTensor = (graph) => graph.value;

/** Builds the projection of a site. */
export type Projector = (site: SiteGraph, x: Value) => Value;

/** Builds the look-up of a site. */
export type LookUp = (graph: LookupGraph) => Value;

/** The projection of a site without an adapter. */
export const FROZEN: Projector = (site, x) => site.project(x);

/** The look-up of a site without an adapter. */
export const FROZEN_ROWS: LookUp = (graph) => graph.rows;
