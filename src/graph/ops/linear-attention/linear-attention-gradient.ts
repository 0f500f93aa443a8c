/**
 * @file The gradient of linear attention, by linear attention alone: forward over the tokens, and backward.
 *
 *   Rₜ = qₜ doₜᵀ + aₜ₊₁ Rₜ₊₁    gradient of Sₜ        dqₜ = Sₜ doₜ    dkₜ = Rₜ vₜ    dvₜ = Rₜᵀ kₜ    dgₜ = Σₛ≥ₜ (qₛ · dqₛ - vₛ · dvₛ)
 *   by the delta rule  Rₜ = qₜ doₜᵀ + aₜ₊₁ (Rₜ₊₁ - kₜ₊₁ dvₜ₊₁ᵀ) = Pₜ - Nₜ    P adds up q doᵀ backward, N adds up k dvᵀ of later tokens
 *     duₜ = Pₜᵀ kₜ - Nₜᵀ kₜ    dvₜ = bₜ duₜ: so N follows the rule backward, with the values Pᵀ k
 *     dkₜ = Rₜ uₜ - bₜ aₜ Sₜ₋₁ duₜ    dbₜ = duₜ · (vₜ - aₜ Sₜ₋₁ᵀ kₜ)
 *
 * S and R are nowhere but in the nodes: S x = Σ a k (u · x) is linear attention with keys u and values k, and so with P and N.
 */
import type { Emitter } from "../../emitter.ts";
import { linearAttentionOf } from "./linear-attention-nodes.ts";
import { TokenRows } from "./token-rows.ts";

/** Names of what it reads, and of the gradients that it gives. */
interface GradientNames {
  readonly inputs: readonly [q: string, k: string, v: string, g: string, dO: string];
  readonly outputs: readonly [dq: string, dk: string, dv: string, dg: string];
}

/** Adds the nodes for values that are added as they are. */
export function emitSumGradient(emitter: Emitter, names: GradientNames, numHeads: number): void {
  const [q, k, v, g, dO] = names.inputs;
  const [dq, dk, dv, dg] = names.outputs;
  const rows = new TokenRows(emitter, numHeads);
  const [rq, rk, rv, rdO] = [q, k, v, dO].map(rows.reverse) as [string, string, string, string];
  const decay = rows.reverse(rows.next(g));
  const read = (query: string, key: string, value: string, decay: string): string =>
    linearAttentionOf(emitter, { query, key, value, decay, rate: null }, { numHeads });
  emitter.node("Identity", [read(dO, v, k, g)], [dq]);
  emitter.node("Identity", [rows.reverse(read(rv, rdO, rq, decay))], [dk]);
  emitter.node("Identity", [rows.reverse(read(rk, rq, rdO, decay))], [dv]);
  emitDecayGradient(emitter, rows, { q, v, g, dq, dv, dg });
}

/** Adds the nodes of what decays get. */
function emitDecayGradient(
  emitter: Emitter,
  rows: TokenRows,
  { q, v, g, dq, dv, dg }: Readonly<Record<"q" | "v" | "g" | "dq" | "dv" | "dg", string>>,
): void {
  const change = rows.sub(rows.dot(q, dq), rows.dot(v, dv));
  emitter.node("Identity", [rows.sumsToEnd(change, emitter.value("Exp", [g]))], [dg]);
}

/** Names of rates and their gradients besides. */
interface RateNames {
  readonly b: string;
  readonly db: string;
}

/** Adds the nodes for values that correct what keys find. */
export function emitDeltaGradient(
  emitter: Emitter,
  names: GradientNames,
  { b, db }: RateNames,
  numHeads: number,
): void {
  const [q, k, v, g, dO] = names.inputs;
  const [dq, dk, dv, dg] = names.outputs;
  const rows = new TokenRows(emitter, numHeads);
  const { mul, sub, add, reverse } = rows;
  const heads = { numHeads };

  // Forward: what keys find before their tokens correct it, and the corrections.
  const found = linearAttentionOf(
    emitter,
    { query: rows.next(k), key: k, value: v, decay: g, rate: b },
    heads,
  );
  const y = rows.scaled(emitter.value("Exp", [g]), rows.previous(found));
  const missing = sub(v, y);
  const u = rows.scaled(b, missing);

  // Backward: P, then N, whose values are what keys find in P.
  const [rq, rk, ru, rb, rdO] = [q, k, u, b, dO].map(reverse) as [string, string, string, string, string];
  const decay = reverse(rows.next(g));
  const inP = linearAttentionOf(emitter, { query: rk, key: rq, value: rdO, decay, rate: null }, heads);
  const ofN = { query: rows.next(rk), key: rk, value: inP, decay, rate: rb };
  const inN = rows.scaled(
    emitter.value("Exp", [decay]),
    rows.previous(linearAttentionOf(emitter, ofN, heads)),
  );
  const rdu = sub(inP, inN);
  const rdv = rows.scaled(rb, rdu);
  const du = reverse(rdu);
  emitter.node("Identity", [reverse(rdv)], [dv]);

  // S do and S du at once: two queries of the same state.
  const both = rows.queries(dO, du);
  const read = linearAttentionOf(
    emitter,
    { query: both, key: u, value: k, decay: g, rate: null },
    { numHeads, numQueries: 2 },
  );
  const [ofDO, ofDu] = rows.ofQueries(read);
  emitter.node("Identity", [ofDO], [dq]);

  // R u; N of a token has none of its own, which is added back.
  const uP = linearAttentionOf(emitter, { query: ru, key: rdO, value: rq, decay, rate: null }, heads);
  const uN = linearAttentionOf(emitter, { query: ru, key: rdv, value: rk, decay, rate: null }, heads);
  const own = rows.scaled(mul(b, rows.dot(u, du)), k);
  const others = sub(reverse(sub(uP, uN)), rows.scaled(b, ofDu));
  emitter.node("Add", [others, add(own, own)], [dk]);

  emitter.node("Identity", [rows.dot(du, missing)], [db]);
  emitDecayGradient(emitter, rows, { q, v, g, dq, dv, dg });
}
