/**
 * @file Measures smoothing factors for the inputs of matrices in an arithmetic that rounds, from one batch by the base in
 * float32.
 *
 * They are a function of the base and the batch alone, so that a resumed run measures the same factors again.
 */
import type { BaseModel } from "../models/base/base-model.ts";
import type { Compute } from "../nn/compute.ts";
import type { PassFacts } from "../nn/pass.ts";
import { NO_ADAPTER } from "../peft/adapter-view.ts";
import type { Engine } from "../runtime/engine.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { BlockRunner } from "./blocks/block-runner.ts";
import { forwardSmoothing } from "./blocks/smoothing-pass.ts";
import { PassContext } from "./context.ts";
import { Embedding, type ModelInput } from "./embedding.ts";
import { measureHeadSmoothing } from "./head/head-smoothing.ts";
import { Session } from "./session.ts";
import type { Smoothing } from "./weights/weights.ts";

/** Measures the factors that an arithmetic needs; none if it needs none. */
export async function measureSmoothing(
  engine: Engine,
  base: BaseModel,
  { smoothing, hasHead }: Pick<Compute, "smoothing" | "hasHead">,
  { input, facts }: { readonly input: ModelInput; readonly facts: PassFacts },
): Promise<Smoothing> {
  const measured = new Map<string, HostTensor<"float32">>();
  if (!smoothing) return measured;
  // A separate session, so that nothing in float32 stays in memory.
  const session = new Session(engine, base, "stored", { maxTableBytes: 0 });
  const runner = new BlockRunner(session, NO_ADAPTER, null);
  const pass = runner.begin(new PassContext(facts, session.pool, session.tables));
  try {
    const embedding = await Embedding.create(session, NO_ADAPTER);
    let x = await embedding.forward(input, pass.context);
    for (let layer = 0; layer < runner.numLayers; layer++) {
      const { y, factors } = await forwardSmoothing(runner, { layer, x, pass }, smoothing);
      for (const [name, of] of factors) measured.set(name, of);
      session.pool.release(x);
      x = y;
    }
    const { headTensor, hasVocabularyHead } = base.model;
    if (hasHead && hasVocabularyHead)
      measured.set(headTensor.name, await measureHeadSmoothing(session, x, smoothing));
    session.pool.release(x);
    return measured;
  } finally {
    runner.end(pass);
    await session.release();
  }
}
