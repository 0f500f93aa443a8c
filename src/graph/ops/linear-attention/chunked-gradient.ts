/**
 * @file Computes products with the states S of tokens and their gradients R chunk by chunk (arXiv:2312.06635, section 4), without
 * storing a state for each token.
 *
 *   Sₜ = aₜ Sₜ₋₁ + kₜ uₜᵀ    Rₜ = aₜ₊₁ Rₜ₊₁ + qₜ fₜᵀ    A(s, u) = aᵤ₊₁ … aₛ
 *   S f = Σᵤ A(s, u) (fₛ · uᵤ) kᵤ    R u = Σₛ A(s, u) (fₛ · uᵤ) qₛ    Rᵀ k = Σₛ A(s, u) (qₛ · kᵤ) fₛ    over u ≤ s
 *   dgₜ = ⟨Rₜ, aₜ Sₜ₋₁⟩ = Σ A(s, u) (qₛ · kᵤ) (fₛ · uᵤ)    over u < t ≤ s
 *
 * Also dgₜ - dgₜ₊₁ = qₜ · dqₜ - uₜ · duₜ, but sums of that cancel: after 3,000 tokens that forget much, Σ g dg is wrong in its
 * second digit.
 */
import type { Emitter } from "../../emitter.ts";
import { ChunkNodes } from "./chunk-nodes.ts";
import { type HeadRange, TokenChunks } from "./token-chunks.ts";

/** Most parts into which heads are divided. Parts run one after another, so that only the chunks of one are alive at a time. */
const NUM_PARTS = 8;
/** Fewest heads of a part, since each part adds sixty nodes. */
const PART_HEADS = 4;

/** Names of the inputs: [B, T, H·D] twice, [B, T, H·W] twice, [B, T, H], and [B, T, H·W] or null. */
interface Inputs {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  /** Gradient of what queries read. */
  readonly flow: string;
  readonly decay: string;
  /** Gradient of what keys read from the state before their own token's value is added; null: keys read nothing. */
  readonly keyFlow: string | null;
}

/** Names of the resulting gradients. */
interface Outputs {
  readonly query: string;
  readonly key: string;
  /** Null: not wanted. */
  readonly value: string | null;
  readonly decay: string;
}

/**
 * Adds the nodes. Within a chunk they multiply matrices [C, C]; earlier tokens enter through S at its beginning, later ones
 * through R at its end.
 */
export function emitChunkedGradient(
  emitter: Emitter,
  inputs: Inputs,
  outputs: Outputs,
  numHeads: number,
): void {
  const chunks = new TokenChunks(emitter, inputs.decay);
  const size = Math.max(PART_HEADS, Math.ceil(numHeads / NUM_PARTS));
  const parts: (readonly string[])[] = [];
  for (let first = 0; first < numHeads; first += size) {
    const heads = { first, count: Math.min(size, numHeads - first), numHeads };
    const last = parts.at(-1);
    const after = last === undefined ? null : emitter.zeroAfter(last);
    const made = gradientsOf(emitter, { chunks, inputs, heads, after }, outputs.value !== null);
    parts.push(made.map((x) => chunks.join(x)));
  }
  const { decay, query, key, value } = outputs;
  for (const [i, output] of [decay, query, key, ...(value === null ? [] : [value])].entries())
    emitter.node(
      "Concat",
      parts.map((part) => part[i]!),
      [output],
      { axis: 2 },
    );
}

/** Heads that are computed together. */
interface Part {
  readonly chunks: TokenChunks;
  readonly inputs: Inputs;
  readonly heads: HeadRange;
  /** A zero that is known only when the part before is done. */
  readonly after: string | null;
}

/** Adds the nodes of some heads. Returns the gradients of decays, queries, keys and, if wanted, values, in chunks. */
function gradientsOf(
  emitter: Emitter,
  { chunks, inputs, heads, after }: Part,
  wantsValue: boolean,
): readonly string[] {
  const { add, mul, exp, sum, product, beside, line, halves, carried } = new ChunkNodes(emitter);
  const cut = (x: string): string => chunks.cut(x, heads, after);
  const [k, u, g] = [cut(inputs.key), cut(inputs.value), line(cut(inputs.decay), "row")];
  // Keys that read the state are treated as additional queries, after the others.
  const keysRead = inputs.keyFlow !== null;
  const q = beside(cut(inputs.query), keysRead ? k : null, 3);
  const f = beside(cut(inputs.flow), inputs.keyFlow === null ? null : cut(inputs.keyFlow), 3);
  const [fromOwn, later] = [chunks.upper("diagonal"), chunks.upper("above")];
  const upTo = beside(fromOwn, keysRead ? fromOwn : null, 1);
  const seen = beside(fromOwn, keysRead ? later : null, 1);

  // A(s, u) from sums over u + 1 … s: the difference of two sums from the start would have the rounding error of the larger.
  const kept = mul(exp(product(mul(g, later), upTo)), seen);
  const flowing = mul(kept, product(u, f, { transB: 1 }));
  const scores = product(k, q, { transB: 1 });
  const dInside = sum(mul(product(mul(scores, flowing), upTo, { transB: 1 }), later), 3);

  const fromStart = mul(f, line(exp(product(g, upTo)), "column"));
  const untilEnd = line(exp(product(g, later, { transB: 1 })), "column");
  const toEnd = mul(u, untilEnd);
  const all = sum(g, 4);
  const { count: numHeads } = heads;
  const before = carried(product(k, toEnd, { transA: 1 }), all, { from: "start", numHeads });
  const behind = carried(product(q, fromStart, { transA: 1 }), all, { from: "end", numHeads });
  const dThrough = mul(exp(all), sum(mul(before, behind), 3, 4));

  const ofBefore = product(fromStart, before, { transB: 1 });
  const dFromBefore = product(sum(mul(q, ofBefore), 4), upTo, { transA: 1, transB: 1 });
  const dq = add(product(flowing, k, { transA: 1 }), ofBefore);

  const ofBehind = product(toEnd, behind, { transB: 1 });
  const dToBehind = product(sum(mul(k, ofBehind), 4), later, { transA: 1 });
  const dk = add(product(flowing, q), ofBehind);

  const dg = line(emitter.value("Sum", [dThrough, dFromBefore, dToBehind, dInside]), "column");
  const [ofQueries, ofKeys] = keysRead ? halves(dq) : [dq, null];
  const made = [dg, ofQueries, ofKeys === null ? dk : add(dk, ofKeys)];
  if (!wantsValue) return made;
  return [...made, add(product(mul(kept, scores), f), mul(product(k, behind), untilEnd))];
}
