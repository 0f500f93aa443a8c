/** @file The data on which a run trains and is evaluated, for any kind of input. */
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

/** What learns from the data: a model with an objective, and its tokenizer's files. */
export interface Learner {
  readonly model: Model;
  readonly objective: Objective;
  readonly tokenizerFiles: TokenizerFiles | null;
}

export interface RunData {
  readonly train: readonly TrainingUnit[];
  /** The data sets from which the examples come, in order, and how often each is drawn. */
  readonly sources: readonly DataSource[];
  /** Null: nothing to evaluate on. */
  readonly heldOut: readonly TrainingUnit[] | null;
  /** Training examples that were left out because nothing to learn remained after truncation. */
  readonly numDropped: number;
  /** SHA-256 of the files that were read, by path; empty for images. */
  readonly fileHashes: ReadonlyMap<string, string>;
  /** Hash of the chat template of the examples; null: none. */
  readonly chatTemplateHash: string | null;
  /** Hash of the tokenizer of the examples; null: none. */
  readonly tokenizerHash: string | null;
  /** Sentences that the caller should see. */
  readonly notes: readonly string[];
  /** Sentences about what is probably not as the user meant it. */
  readonly warnings: readonly string[];
}

/** How a caller follows and stops the reading of data. */
export interface ReadingHooks {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ReadingProgress) => void) | undefined;
  /** Environment variables that say where models and data are stored; default: those of the process. */
  readonly env?: Environment | undefined;
  /** The model's tokenizer, if already open. */
  readonly tokenizer?: Tokenizer | undefined;
}

/** The held-out examples of several data sets together; null: none. */
export function joinHeldOut<U>(sets: readonly (readonly U[] | null)[]): readonly U[] | null {
  const all = sets.flatMap((units) => units ?? []);
  return all.length > 0 ? all : null;
}

/** The sources of the examples of several data sets, with their weights. @throws UsageError "usage/flag" */
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
