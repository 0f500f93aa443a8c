/** @file Opens a session for passes over many tokens: smoothed by one batch of them, with a warning if its arithmetic brings nothing. */
import type { Batch } from "../data/batches/batch.ts";
import { firstTokens } from "../data/batches/first-tokens.ts";
import type { BaseModel } from "../models/base/base-model.ts";
import { f32 } from "../nn/computes/f32.ts";
import { costOf, describeCost } from "../run/compute-cost.ts";
import { Session, type SessionOptions } from "../run/session.ts";
import { measureSmoothing } from "../run/smoothing.ts";
import type { Residency } from "../run/weights/weights.ts";
import type { Engine } from "../runtime/engine.ts";

/** Tokens on which factors are measured. 256 bring each product near float32 (docs/log.md#8-bit-products); a pass in float32 takes long. */
const SMOOTHING_TOKENS = 512;

/** Opens it; calls `warn` with the cost of an arithmetic on a processor that does not support it well. */
export async function openSession(
  engine: Engine,
  base: BaseModel,
  residency: Residency,
  { batch, warn, ...options }: SessionOptions & { batch: Batch; warn: (message: string) => void },
): Promise<Session> {
  const { compute = f32 } = options;
  const cost = describeCost(compute, await costOf(engine, compute));
  if (cost !== null) warn(cost);
  const smoothing = await measureSmoothing(engine, base, compute, firstTokens(batch, SMOOTHING_TOKENS));
  return new Session(engine, base, residency, { ...options, smoothing });
}
