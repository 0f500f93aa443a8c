/** @file Loss of a model on examples, without gradients: one row a time, or several of like length. */
import { type TrainingExample, exampleLength, promptEnds, toBatch } from "../data/batch.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import { ForwardPass } from "../run/forward-pass.ts";
import type { Engine } from "../runtime/engine.ts";
import { labelledPositions } from "./step-runner.ts";
import { requireKnownIds } from "./checks.ts";
import { fillRows } from "./fill-rows.ts";

/** Mean loss over all predicted tokens. */
export interface Evaluation {
  readonly loss: number;
  /** e to the power of the loss. */
  readonly perplexity: number;
  /** Predicted tokens. */
  readonly tokens: number;
}

/** Tokens of one pass: enough rows to fill the machine, few enough for small memory. */
const PASS_TOKENS = 1024;

/** Computes losses with programs that are compiled once. */
export class Evaluator {
  readonly #forward: ForwardPass;

  private constructor(forward: ForwardPass) {
    this.#forward = forward;
  }

  /** Compiles what is not tied to a block. `adapter` null: the base alone. */
  static async create(engine: Engine, base: BaseModel, adapter: Adapter | null): Promise<Evaluator> {
    return new Evaluator(await ForwardPass.create(engine, base, adapter));
  }

  /** Evaluates examples; `onProgress` is told how many are done. */
  async evaluate(
    examples: readonly TrainingExample[],
    onProgress: (numDone: number) => void = () => {},
  ): Promise<Evaluation> {
    requireKnownIds(examples, this.#forward.base.config.vocabSize);
    let [lossSum, tokens, numDone] = [0, 0, 0];
    for (const rows of passesOf(examples)) {
      const batch = toBatch(rows);
      lossSum += await this.#forward.run(batch, promptEnds(batch), (x) =>
        this.#forward.head.loss(x, labelledPositions(batch)),
      );
      tokens += batch.numLabels;
      numDone += rows.reduce((sum, row) => sum + row.length, 0);
      onProgress(numDone);
    }
    const loss = lossSum / tokens;
    return { loss, perplexity: Math.exp(loss), tokens };
  }

  /** Frees the programs. */
  release(): Promise<void> {
    return this.#forward.release();
  }
}

/** Groups examples of like length into passes, each of rows. */
export function passesOf<E extends TrainingExample>(examples: readonly E[]): E[][][] {
  const sorted = [...examples].sort((a, b) => exampleLength(b) - exampleLength(a));
  const groups: E[][] = [];
  let longest = 0;
  for (const example of sorted) {
    const group = groups.at(-1);
    if (group && (group.length + 1) * longest <= PASS_TOKENS) group.push(example);
    else {
      groups.push([example]);
      longest = exampleLength(example);
    }
  }
  return groups.map((group) => fillRows(group));
}
