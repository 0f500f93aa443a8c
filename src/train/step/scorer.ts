/** @file Log-probabilities of labels without gradients: by the model in training, and by the reference from which it started. */
import type { Batch } from "../../data/batches/batch.ts";
import { factsOf, labelledPositions } from "../../data/batches/pass-facts.ts";
import { NO_ADAPTER } from "../../peft/adapter-view.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { BetweenBlocks } from "../../run/blocks/forward-blocks.ts";
import { ForwardPass } from "../../run/forward-pass.ts";
import type { Session } from "../../run/session.ts";
import type { Objective, Scores } from "../objective.ts";
import type { Predictions } from "./predictions.ts";

/** The two models that a scorer compares. */
export interface ScorerParts {
  /** The adapter in training; null: the base without an adapter. */
  readonly adapter: Adapter | null;
  /** The adapter from which training started, which never changes; null: the base without an adapter. */
  readonly reference: Adapter | null;
}

export class Scorer {
  readonly #policy: ForwardPass;
  readonly #reference: ForwardPass | null;

  private constructor(policy: ForwardPass, reference: ForwardPass | null) {
    this.#policy = policy;
    this.#reference = reference;
  }

  /** Compiles the programs outside the blocks that the objective needs. */
  static async create(
    session: Session,
    parts: ScorerParts,
    { needs }: Objective,
    betweenBlocks?: BetweenBlocks,
  ): Promise<Scorer> {
    const pass = (adapter: Adapter | null): Promise<ForwardPass> =>
      ForwardPass.create(session, adapter ?? NO_ADAPTER, betweenBlocks);
    const isAsked = needs.includes("reference");
    return new Scorer(await pass(parts.adapter), isAsked ? await pass(parts.reference) : null);
  }

  /** Log-probabilities by the reference, [N]; null if the objective does not need them. */
  async reference(batch: Batch): Promise<Float32Array | null> {
    return this.#reference && (await logProbsBy(this.#reference, batch));
  }

  /** Both log-probabilities, without dropout; `counts` also collects the logits of each labelled position. */
  async scores(batch: Batch, counts: Predictions | null = null): Promise<Scores> {
    const logProbs = await logProbsBy(this.#policy, batch, counts);
    return { ...batch, logProbs, reference: await this.reference(batch) };
  }
}

async function logProbsBy(
  pass: ForwardPass,
  batch: Batch,
  counts: Predictions | null = null,
): Promise<Float32Array> {
  const logProbs = new Float32Array(batch.numLabels);
  const labelled = labelledPositions(batch);
  await pass.run(batch.input, factsOf(batch), async (x) => {
    await pass.labelHead.logProbs(x, labelled, logProbs);
    await counts?.collect({ head: pass.head, x }, labelled, batch.weights);
  });
  return logProbs;
}
