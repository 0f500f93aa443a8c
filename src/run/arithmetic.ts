/** @file In which arithmetic the matrices of a block are multiplied, and which of its tensors programs bind. */
import type { Tensors } from "../runtime/host-tensor.ts";
import type { WeightSource } from "../models/base/base-model.ts";
import { type TensorRead, operandNames } from "../models/graphs/part-tensors.ts";
import type { PartOptions } from "../models/graphs/part-options.ts";
import type { Compute, Product } from "../nn/compute.ts";
import { f32, float32Product } from "../nn/computes/f32.ts";
import type { AdapterView } from "../peft/adapter-view.ts";
import type { Session } from "./session.ts";

/** The products of one block. */
export interface Arithmetic {
  /** Equal for blocks whose programs can be shared as far as their products go. */
  readonly key: string;
  readonly product: PartOptions["product"];
  readonly isSmoothed: PartOptions["isSmoothed"];
  /** Whether tensors are bound in programs, so that they stay in memory. */
  readonly binds: boolean;
}

const FLOAT32: Arithmetic = {
  key: f32.name,
  product: (_tensor, matrix) => float32Product(matrix),
  isSmoothed: () => false,
  binds: false,
};

/** How much runs at a time: an arithmetic may have other products for many tokens. */
export type Amount = "any" | "many";

/** What of a session decides its arithmetic; none of it needs weights. */
export interface SessionOutline extends Pick<Session, "compute" | "model"> {
  readonly base: { readonly source: Pick<WeightSource, "storageOf"> };
  /** Absent: nothing is smoothed. */
  readonly smoothing?: Pick<Session["smoothing"], "has">;
}

/**
 * Chooses the arithmetic of each matrix of a block: the session's, or float32 for what an adapter trains of the base, and for
 * a router: it chooses, so that a small error is a large one.
 */
export function arithmeticOf(
  { compute, model, base, smoothing }: SessionOutline,
  adapter: AdapterView,
  layer: number,
  amount: Amount = "any",
): Arithmetic {
  if (compute === f32) return FLOAT32;
  const rule = ruleOf(compute, amount);
  const own = adapter.inputs(layer);
  const products = new Map<string, Product>();
  const smoothed = new Set<string>();
  const kinds = [];
  for (const site of model.layers[layer]?.sites ?? []) {
    const tensor = `${site.name}.weight`;
    const storage = base.source.storageOf(model.tensorName(layer, tensor));
    const isExact = tensor in own || site.role === "router";
    const product = isExact ? null : rule.product(site, storage);
    if (product) products.set(tensor, product);
    const isMeasured = smoothing?.has(model.tensorName(layer, tensor)) === true;
    const canBe = product !== null && rule.smoothing !== undefined && product.unsmoothed !== true;
    const isSmoothed = canBe && isMeasured;
    if (isSmoothed) smoothed.add(tensor);
    kinds.push(product ? `${storage}${isSmoothed ? ", smoothed" : ""}` : f32.name);
  }
  const binds = [...products.values()].some(({ binding }) => binding === "bound");
  return {
    key: JSON.stringify([compute.name, amount, binds ? layer : "any", kinds]),
    product: (tensor, matrix) => products.get(tensor) ?? float32Product(matrix),
    isSmoothed: (tensor) => smoothed.has(tensor),
    binds,
  };
}

/**
 * Reads what a block's program binds of all that it reads, by name; it stays as long as the session. `own`: what an adapter
 * gives instead of the base.
 */
export async function constantsOf(
  session: Session,
  layer: number,
  reads: readonly TensorRead[],
  own?: Tensors,
): Promise<Tensors> {
  const bound = boundOf(reads, own);
  if (bound.length === 0) return {};
  // Bound tensors keep the whole block in memory, also what its programs are fed.
  const tensors = await session.pin(layer, reads);
  return Object.fromEntries(bound.flatMap(operandNames).map((name) => [name, tensors[name]!]));
}

/** The products of an arithmetic for so much at a time. */
function ruleOf(compute: Compute, amount: Amount): NonNullable<Compute["many"]> {
  return amount === "many" ? (compute.many ?? compute) : compute;
}

/** How the output head is multiplied. */
export interface HeadArithmetic extends Pick<PartOptions, "product" | "isSmoothed"> {
  readonly amount: Amount;
}

/** Returns the head's product in the session's arithmetic; null: it is computed in float32. */
export function headArithmeticOf(
  { compute, model, base, smoothing }: SessionOutline,
  amount: Amount,
): HeadArithmetic | null {
  const rule = ruleOf(compute, amount);
  if (!rule.hasHead || !model.hasVocabularyHead) return null;
  const { name } = model.headTensor;
  const storage = base.source.storageOf(model.storedName(name));
  const isMeasured = rule.smoothing !== undefined && smoothing?.has(name) === true;
  return {
    amount,
    product: (tensor, matrix) =>
      (tensor === name ? rule.product(matrix, storage) : null) ?? float32Product(matrix),
    isSmoothed: (tensor) => tensor === name && isMeasured,
  };
}

/**
 * Those tensors that programs bind. A program that binds some, so that it is one layer's alone, may as well bind all vectors
 * but an adapter's `own`: a run is then given less.
 */
export function boundOf(reads: readonly TensorRead[], own?: Readonly<Record<string, unknown>>): TensorRead[] {
  const bound = reads.filter(({ preparation }) => preparation.binding === "bound");
  if (bound.length === 0 || !own) return bound;
  return reads.filter((read) => bound.includes(read) || (isVector(read) && !(read.tensor in own)));
}

function isVector({ preparation: { operands } }: TensorRead): boolean {
  return operands.every(({ shape }) => shape.length === 1);
}
