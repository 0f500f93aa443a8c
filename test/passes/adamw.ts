/** @file AdamW as tests train with it: its usual settings, and no decay unless a test asks for some. */
import { adamw } from "../../src/optim/adamw.ts";
import { type UpdateStep, createUpdater } from "../../src/optim/updater.ts";
import type { Engine } from "../../src/runtime/engine.ts";

type Trained = Parameters<typeof createUpdater>[3];
type Rates = Pick<UpdateStep, "learningRate"> & Partial<UpdateStep>;

/** Opens AdamW on what is trained. */
export async function openAdamw(engine: Engine, trained: Trained) {
  const updater = await createUpdater(engine, adamw, adamw.options.parse({}), trained);
  return {
    step: (gradients: UpdateStep["gradients"], rates: Rates): Promise<boolean> =>
      updater.step({ gradients, gradientScale: 1, weightDecay: 0, ...rates }),
    release: (): Promise<void> => updater.release(),
  };
}
