/**
 * @file A golden model, opened, with everything that tests ask of it. The one place of these tests that knows how a
 * configuration becomes a model and how a model is run.
 */
import { type Batch, NO_LABEL } from "../../src/data/batches/batch.ts";
import { Generator } from "../../src/engine/generation/generator.ts";
import type { Checkpoint } from "../../src/format/checkpoint/checkpoint.ts";
import { loadModel } from "../../src/format/by-path.ts";
import { hashSettings } from "../../src/models/base/base-settings.ts";
import { openModel } from "../../src/models/families.ts";
import { Session } from "../../src/run/session.ts";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import { findMethod } from "../../src/peft/methods.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import { attachTo, batchFromRows, logitsOf, lossAndGradients } from "../passes/model-passes.ts";
import { type GoldenBatch, goldenJson, goldenPath } from "./golden-files.ts";
import type { Recompute } from "../../src/train/recompute.ts";
import { readJson } from "../files/read-json.ts";

/** The batch of a classifier: one class a row. */
export interface ClassBatch {
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[];
  readonly token_type_ids?: readonly (readonly number[])[];
}

/** The number of a class, or what the outputs are to be: one alone may stand without a list. */
export type ClassLabel = number | readonly number[];

/** Loss and the gradient of every parameter by its name in the checkpoint. */
interface LossAndGradients {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

export interface GoldenModel {
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
  /** [B·T, V] */
  logits(batch: GoldenBatch): Promise<Float32Array>;
  lossAndGradients(batch: GoldenBatch, options: { readonly recompute: Recompute }): Promise<LossAndGradients>;
  /** [B, C], at the position that says the class. */
  classLogits(batch: ClassBatch): Promise<Float32Array>;
  classLossAndGradients(batch: ClassBatch, labels: readonly ClassLabel[]): Promise<LossAndGradients>;
  /** The likeliest ids after a prompt, and the logits [N, V] that chose each. */
  greedy(
    prompt: readonly number[],
    numNew: number,
  ): Promise<{ ids: readonly number[]; logits: Float32Array }>;
}

/** Opens `models/NAME`. @throws UsageError "usage/model" for a family that is not known. */
export async function openGoldenModel(engine: Engine, name: string): Promise<GoldenModel> {
  const { base, checkpoint } = await loadModel(goldenPath("models", name));
  return {
    base,
    checkpoint,
    logits: (batch) => logitsOf(engine, base, null, batchFromRows(batch)),
    async lossAndGradients(batch, { recompute }) {
      const adapter = await attachTo(base, findMethod("full"));
      return await lossAndGradients(engine, base, adapter, [batchFromRows(batch)], { recompute });
    },
    async classLogits(rows) {
      const batch = classBatch(base, rows);
      const logits = await logitsOf(engine, base, null, batch);
      const numClasses = logits.length / (batch.numRows * batch.length);
      return Float32Array.from(
        rows.input_ids.flatMap((_, row) => {
          const from = classPosition(base, rows, row) * numClasses;
          return [...logits.subarray(from, from + numClasses)];
        }),
      );
    },
    async classLossAndGradients(rows, labels) {
      const adapter = await attachTo(base, findMethod("full"));
      return await lossAndGradients(engine, base, adapter, [classBatch(base, rows, labels)]);
    },
    async greedy(prompt, numNew) {
      const session = new Session(engine, base, "float32");
      const generator = await Generator.create({ session, adapter: null });
      const logits: number[] = [];
      const onLogits = (row: Float32Array): unknown => logits.push(...row);
      const { ids } = await generator.complete({ promptIds: prompt, maxNewTokens: numNew, onLogits });
      await session.release();
      return { ids, logits: Float32Array.from(logits) };
    },
  };
}

/** What a configuration file of `models/NAME` is read as. */
export function readGoldenConfig(name: string, file: string): unknown {
  const raw = readJson(goldenPath("models", name, file));
  const model = openModel(raw);
  const { task, numOutputs, maxPositions, layers, tensors, ties } = model;
  const settings = hashSettings(model);
  return { task, numOutputs, maxPositions, layers, tensors: [...tensors], ties: [...ties], settings };
}

/** The batches on which methods were trained on `models/tiny-llama`, a step each. */
export function llamaBatches(): Batch[] {
  const rows = goldenJson<{ input_ids: number[][][]; labels: number[][][] }>("road", "llama-batches.json");
  return rows.input_ids.map((ids, k) => batchFromRows({ input_ids: ids, labels: rows.labels[k]! }));
}

/** Where a row says its class: a decoder at the last token, an encoder at the first. */
function classPosition(base: BaseModel, rows: ClassBatch, row: number): number {
  const mask = rows.attention_mask[row]!;
  return row * mask.length + (base.model.classPosition === "last" ? mask.lastIndexOf(1) : 0);
}

function classBatch(base: BaseModel, rows: ClassBatch, classes: readonly ClassLabel[] = []): Batch {
  const batch = batchFromRows(rows);
  const { hasTargets } = base.model;
  const labels = new Int32Array(batch.labels.length).fill(NO_LABEL);
  classes.forEach((label, row) => {
    labels[classPosition(base, rows, row)] = hasTargets ? 0 : (label as number);
  });
  const tokenTypes = rows.token_type_ids ? Int32Array.from(rows.token_type_ids.flat()) : null;
  const weights = new Float32Array(classes.length).fill(1);
  const sequenceOf = Int32Array.from(classes, (_, row) => row);
  const targets = hasTargets ? Float32Array.from(classes.flat()) : null;
  return { ...batch, labels, targets, tokenTypes, numLabels: classes.length, weights, sequenceOf };
}
