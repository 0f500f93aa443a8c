/** @file The data on which a run trains and is evaluated, whatever kind of input the model reads. */
import type { ReadingProgress } from "../../../data/files/read-files.ts";
import type { DataName } from "../../../data/by-path.ts";
import type { DataSource } from "../../../data/batches/order.ts";
import type { Tokenizer } from "../../../data/tokenizer/tokenizer.ts";
import type { TrainingUnit } from "../../../data/examples/training-unit.ts";
import type { Environment } from "../../../environment.ts";
import { UsageError } from "../../../errors.ts";
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";
import { formatCount, formatCountOf } from "../../../messages/numbers.ts";
import type { Model } from "../../../models/model.ts";
import type { Objective } from "../../objective.ts";
import { MAX_EPOCH_EXAMPLES } from "../../../untrusted/limits.ts";

/** Who learns from the data: the model by an objective, with what its folder says of its tokens. */
export interface Learner {
  readonly model: Model;
  readonly objective: Objective;
  readonly tokenizerFiles: TokenizerFiles | null;
}

export interface RunData {
  readonly train: readonly TrainingUnit[];
  /** Where the examples are from, in their order, and how often each is drawn. */
  readonly sources: readonly DataSource[];
  /** Null: nothing to evaluate on. */
  readonly heldOut: readonly TrainingUnit[] | null;
  /** Examples to train on that were left out, as nothing to learn was left. */
  readonly numDropped: number;
  /** SHA-256 of the files that were read, by their paths; of images none. */
  readonly fileHashes: ReadonlyMap<string, string>;
  /** Hash of the chat template that the examples were written with; null: none. */
  readonly chatTemplateHash: string | null;
  /** Hash of the tokenizer that the examples were made with; null: none. */
  readonly tokenizerHash: string | null;
  /** Sentences that the caller should see. */
  readonly notes: readonly string[];
  /** Sentences about what is probably not as it was meant. */
  readonly warnings: readonly string[];
}

/** How a caller follows and stops the reading of data. */
export interface ReadingHooks {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ReadingProgress) => void) | undefined;
  /** Environment that says where models and data are kept; the process's own by default. */
  readonly env?: Environment | undefined;
  /** The model's, where it is open already. */
  readonly tokenizer?: Tokenizer | undefined;
}

/** What is held out of several data sets; null: nothing. */
export function joinHeldOut<U>(sets: readonly (readonly U[] | null)[]): readonly U[] | null {
  const all = sets.flatMap((units) => units ?? []);
  return all.length > 0 ? all : null;
}

/** Where the examples of several data sets are from, with the weights of their names. @throws UsageError "usage/flag" */
export function sourcesOf(
  sets: readonly { readonly train: readonly unknown[] }[],
  names: readonly { readonly name: DataName; readonly weight: number }[],
): DataSource[] {
  return sets.map(({ train: { length: numExamples } }, i) => {
    const { name, weight } = names[i]!;
    if (numExamples * weight <= MAX_EPOCH_EXAMPLES) return { numExamples, weight };
    throw new UsageError(
      "usage/flag",
      `Cannot draw data set "${String(name)}" ${weight} times per epoch: it has ${formatCountOf(numExamples, "example")}, expected at most ${formatCount(MAX_EPOCH_EXAMPLES)} drawn`,
      { hint: "Give a smaller weight, and a longer run with --epochs or --steps." },
    );
  });
}
