/**
 * @file The gradient of linear attention, in terms of states S and their gradients R, neither of which is stored for each token.
 *
 *   Rₜ = qₜ doₜᵀ + aₜ₊₁ Rₜ₊₁    dqₜ = Sₜ doₜ    dkₜ = Rₜ vₜ    dvₜ = Rₜᵀ kₜ    dgₜ = ⟨Rₜ, aₜ Sₜ₋₁⟩
 *   by the delta rule  Rₜ = qₜ doₜᵀ + aₜ₊₁ (Rₜ₊₁ - kₜ₊₁ dvₜ₊₁ᵀ) = Pₜ - Nₜ    P adds up q doᵀ backward, N adds up k dvᵀ of later tokens
 *     duₜ = Pₜᵀ kₜ - Nₜᵀ kₜ    dvₜ = bₜ duₜ: so N follows the rule backward, with the values Pᵀ k
 *     dkₜ = Rₜ uₜ - aₜ Sₜ₋₁ dvₜ    dbₜ = duₜ · (vₜ - aₜ Sₜ₋₁ᵀ kₜ)    dgₜ = ⟨Rₜ - kₜ dvₜᵀ, aₜ Sₜ₋₁⟩
 * u and dv come from linear attention, forward and backward. Then keys are like queries with the gradient -dv, and the rest goes
 * by chunks.
 */
import type { Emitter } from "../../emitter.ts";
import { emitChunkedGradient } from "./chunked-gradient.ts";
import { linearAttentionOf } from "./linear-attention-nodes.ts";
import { TokenRows } from "./token-rows.ts";

/** Names of the inputs and of the resulting gradients. */
interface GradientNames {
  readonly inputs: readonly [q: string, k: string, v: string, g: string, dO: string];
  readonly outputs: readonly [dq: string, dk: string, dv: string, dg: string];
}

/** Adds the nodes for values that are added unchanged. */
export function emitSumGradient(emitter: Emitter, names: GradientNames, numHeads: number): void {
  const [query, key, value, decay, flow] = names.inputs;
  const [dq, dk, dv, dg] = names.outputs;
  const inputs = { query, key, value, flow, decay, keyFlow: null };
  emitChunkedGradient(emitter, inputs, { query: dq, key: dk, value: dv, decay: dg }, numHeads);
}

/** Names of the rates and their gradient. */
interface RateNames {
  readonly b: string;
  readonly db: string;
}

/** Adds the nodes for the delta rule, by which values correct what keys find. */
export function emitDeltaGradient(
  emitter: Emitter,
  names: GradientNames,
  { b, db }: RateNames,
  numHeads: number,
): void {
  const [q, k, v, g, dO] = names.inputs;
  const [dq, dk, dv, dg] = names.outputs;
  const rows = new TokenRows(emitter, numHeads);
  const { sub, reverse } = rows;

  // Forward: what keys find in the state before their tokens correct it, and the corrections.
  const found = linearAttentionOf(
    emitter,
    { query: rows.next(k), key: k, value: v, decay: g, rate: b },
    numHeads,
  );
  const y = rows.scaled(emitter.value("Exp", [g]), rows.previous(found));
  const missing = sub(v, y);
  const u = rows.scaled(b, missing);

  // Backward: P, then N, whose values are what keys find in P.
  const [rq, rk, rb, rdO] = [q, k, b, dO].map(reverse) as [string, string, string, string];
  const decay = reverse(rows.next(g));
  const inP = linearAttentionOf(emitter, { query: rk, key: rq, value: rdO, decay, rate: null }, numHeads);
  const ofN = { query: rows.next(rk), key: rk, value: inP, decay, rate: rb };
  const inN = rows.scaled(
    emitter.value("Exp", [decay]),
    rows.previous(linearAttentionOf(emitter, ofN, numHeads)),
  );
  const rdu = sub(inP, inN);
  const rdv = rows.scaled(rb, rdu);
  emitter.node("Identity", [reverse(rdv)], [dv]);

  const keyFlow = emitter.value("Neg", [dv]);
  const inputs = { query: q, key: k, value: u, flow: dO, decay: g, keyFlow };
  emitChunkedGradient(emitter, inputs, { query: dq, key: dk, value: null, decay: dg }, numHeads);
  emitter.node("Identity", [rows.dot(reverse(rdu), missing)], [db]);
}
