/** @file The beginning of a batch, for cases where some of its tokens suffice. */
import type { PassFacts } from "../../nn/pass.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { Batch } from "./batch.ts";
import { factsOf } from "./pass-facts.ts";

/** Cuts a batch to the first tokens of each row: `atMost` in total, but at least one per row; images stay whole. New arrays. */
export function firstTokens(batch: Batch, atMost: number): { input: Batch["input"]; facts: PassFacts } {
  const { input, numRows } = batch;
  const facts = factsOf(batch);
  const length = Math.min(batch.length, Math.max(1, Math.floor(atMost / numRows)));
  if (input.dtype !== "int64" || length === batch.length) return { input, facts };
  const place = (i: number): number => Math.floor(i / length) * batch.length + (i % length);
  const cut = (all: Int32Array): Int32Array =>
    Int32Array.from({ length: numRows * length }, (_, i) => all[place(i)]!);
  const cutWide = (all: BigInt64Array): BigInt64Array =>
    BigInt64Array.from({ length: numRows * length }, (_, i) => all[place(i)]!);
  const [positions, segments] = [cutWide(facts.positions), cut(facts.segments)];
  const tokenTypes = facts.tokenTypes && cut(facts.tokenTypes);
  return {
    input: hostTensor("int64", [numRows, length], cutWide(input.data)),
    facts: { ...facts, length, positions, segments, tokenTypes },
  };
}
