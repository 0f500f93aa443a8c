/** @file Decides in which arithmetic the matrices of a block are multiplied, and which of its tensors programs bind. */
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
  /** Equal for blocks whose programs can be shared, as far as their products matter. */
  readonly key: string;
  readonly product: PartOptions["product"];
  readonly isSmoothed: PartOptions["isSmoothed"];
  /** Whether programs bind tensors, which then stay in memory. */
  readonly binds: boolean;
}

const FLOAT32: Arithmetic = {
  key: f32.name,
  product: (_tensor, matrix) => float32Product(matrix),
  isSmoothed: () => false,
  binds: false,
};

/** How many tokens run at a time: an arithmetic may have different products for many. */
export type Amount = "any" | "many";

/** The parts of a session that decide its arithmetic; none of them needs weights. */
export interface SessionOutline extends Pick<Session, "compute" | "model"> {
  readonly base: { readonly source: Pick<WeightSource, "storageOf"> };
  /** Absent: nothing is smoothed. */
  readonly smoothing?: Pick<Session["smoothing"], "has">;
}

/**
 * Chooses the arithmetic of each matrix of a block: the session's, or float32 for base tensors that an adapter trains, and for a
 * router: it makes choices, so that a small error can have a large effect.
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
 * Reads the tensors that a block's program binds, of all that it reads, by name; they stay as long as the session. `own`: tensors
 * that an adapter replaces.
 */
export async function constantsOf(
  session: Session,
  layer: number,
  reads: readonly TensorRead[],
  own?: Tensors,
): Promise<Tensors> {
  const bound = boundOf(reads, own);
  if (bound.length === 0) return {};
  // A block with bound tensors stays in memory as a whole, including what its programs are fed.
  const tensors = await session.pin(layer, reads);
  return Object.fromEntries(bound.flatMap(operandNames).map((name) => [name, tensors[name]!]));
}

/** The products of an arithmetic for this amount. */
function ruleOf(compute: Compute, amount: Amount): NonNullable<Compute["many"]> {
  return amount === "many" ? (compute.many ?? compute) : compute;
}

/** How to multiply with the matrix of the output head. */
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
 * The reads that programs bind. A program that binds a matrix belongs to one layer, so it binds all vectors too, except those
 * that an adapter replaces (`own`): each run is then fed less.
 */
export function boundOf(reads: readonly TensorRead[], own?: Readonly<Record<string, unknown>>): TensorRead[] {
  const bound = reads.filter(({ preparation }) => preparation.binding === "bound");
  if (bound.length === 0 || !own) return bound;
  return reads.filter((read) => bound.includes(read) || (isVector(read) && !(read.tensor in own)));
}

function isVector({ preparation: { operands } }: TensorRead): boolean {
  return operands.every(({ shape }) => shape.length === 1);
}
