/**
 * @file What SNELL makes of as many numbers as LoRA has: the rank and the zeros of the merged update, and the memory that
 * tuning as many weights one by one would take, with their places and the optimizer's state.
 *
 *   node experiments/snell-rank.ts
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { createEngine, loadModel, mergeAdapter, readAdapter, train } from "../src/index.ts";
import { transferText } from "../tools/small-model/make-text.ts";
import { documentRows } from "../tools/small-model/make-model.ts";
import { SMALL_MODEL } from "./command.ts";
import { RESULTS, type Result, tell } from "./report.ts";

const RANK = 8;
/** Bytes of a trained number: itself, its gradient, the two averages of AdamW. */
const TRAINED_BYTES = 16;
/** Bytes of the place of a weight that is tuned by itself. */
const INDEX_BYTES = 4;
/** Singular values below this share of the largest are rounding of float32. */
const ROUNDING = 1e-5;

const WAYS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  LoRA: { method: "lora", rank: RANK, alpha: 4 * RANK },
  "SNELL, no zeros": { method: "snell", rank: RANK, sparsify: "none", alpha: 0.1 },
  "SNELL, half zeros": { method: "snell", rank: RANK, sparsity: 0.5 },
  "SNELL, nine tenths zeros": { method: "snell", rank: RANK, sparsity: 0.9 },
  "through magnitude": { method: "snell", rank: RANK, sparsity: 0.9, through: "magnitude" },
  "hard-magnitude": { method: "snell", rank: RANK, sparsity: 0.9, sparsify: "hard-magnitude" },
  hard: { method: "snell", rank: RANK, sparsity: 0.9, sparsify: "hard" },
  fixed: { method: "snell", rank: RANK, sparsity: 0.9, sparsify: "fixed" },
  "linear kernel": { method: "snell", rank: RANK, sparsity: 0.9, kernel: "linear" },
  "linear kernel, hard": { method: "snell", rank: RANK, sparsity: 0.9, kernel: "linear", sparsify: "hard" },
  "softmax kernel, hard": { method: "snell", rank: RANK, sparsity: 0.9, kernel: "softmax", sparsify: "hard" },
};

/** The update of a trained adapter: mean rank of a weight's, share of zeros, weights that are not zero. */
async function measure(model: string, adapterPath: string) {
  const { base, checkpoint } = await loadModel(model);
  const { adapter } = await readAdapter(adapterPath, base);
  const merged = await mergeAdapter(createEngine(), base, adapter);
  const [ranks, zeros]: [number[], number[]] = [[], []];
  let [numWeights, numMoved] = [0, 0];
  for (const [name, { shape, data }] of merged) {
    const before = (await base.values(name)).data;
    const update = Float64Array.from(data, (value, i) => value - (before[i] ?? 0));
    const matrix = Matrix.from1DArray(shape[0] ?? 0, shape[1] ?? 0, update);
    const sigma = new SingularValueDecomposition(matrix, { autoTranspose: true }).diagonal;
    ranks.push(sigma.filter((value) => value > ROUNDING * (sigma[0] ?? 0)).length);
    const moved = update.filter((value) => value !== 0).length;
    zeros.push(1 - moved / update.length);
    numWeights += update.length;
    numMoved += moved;
  }
  await checkpoint.close();
  const mean = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / numbers.length;
  return { rank: mean(ranks), zeros: mean(zeros), numWeights, numMoved, numTrained: adapter.numTrained };
}

/** Trains each way, or those that are named, for so many steps on facts that the model does not know. */
export async function snellRank(
  steps: number,
  labels: readonly string[] = Object.keys(WAYS),
  model = SMALL_MODEL,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "graft-snell-"));
  const [data, evalData] = [join(folder, "train.jsonl"), join(folder, "held-out.jsonl")];
  writeFileSync(data, documentRows(transferText(40_000, 1)));
  writeFileSync(evalData, documentRows(transferText(3000, 2)));
  const rows = [];
  for (const label of labels) {
    const output = join(folder, label);
    const { evaluation } = await train({
      model,
      data,
      evalData,
      output,
      steps,
      targetModules: "all-linear",
      batchSize: 8,
      packing: true,
      maxLength: 128,
      learningRate: 1e-2,
      schedule: "cosine",
      seed: 1,
      ...WAYS[label],
    });
    const { rank, zeros, numWeights, numMoved, numTrained } = await measure(model, output);
    const values = {
      "trained numbers": numTrained,
      "mean rank": rank,
      "share of zeros": zeros,
      "held-out loss": evaluation?.loss ?? NaN,
      "kB in training": (numTrained * TRAINED_BYTES) / 1000,
      "kB for its entries one by one": (numMoved * (TRAINED_BYTES + INDEX_BYTES)) / 1000,
      "kB for all weights": (numWeights * TRAINED_BYTES) / 1000,
    };
    rows.push({ label, values });
  }
  rmSync(folder, { recursive: true, force: true });
  return {
    name: "snell-rank",
    title: `Updates of ${RANK} (in + out) numbers a projection, after ${steps} steps`,
    axis: "method",
    rows,
    drawn: ["mean rank"],
    measure: "mean rank of an update",
  };
}

if (import.meta.main) {
  const [start, steps] = [performance.now(), 40];
  const result = await snellRank(steps);
  const parameters = { model: basename(SMALL_MODEL), steps, rank: RANK };
  tell(result, { parameters, seconds: (performance.now() - start) / 1000 }, RESULTS);
}
