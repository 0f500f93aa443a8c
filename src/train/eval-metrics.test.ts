/** @file What makes a checkpoint the best: the list, its directions, and counts of predictions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EVAL_METRICS, LOSS, findEvalMetric, isBetter, metricsOf } from "./eval-metrics.ts";
import { OBJECTIVES, findObjective } from "./objectives.ts";
import { PredictionCounts } from "./step/predictions.ts";
import { TargetPairs } from "./step/target-pairs.ts";

test("a lower loss and a higher share are better, an equal one is not", () => {
  for (const metric of EVAL_METRICS) {
    const [better, worse] = metric.better === "lower" ? [1, 2] : [2, 1];
    assert.ok(isBetter(metric, worse, null), metric.name);
    assert.ok(isBetter(metric, better, worse), metric.name);
    assert.ok(!isBetter(metric, worse, better) && !isBetter(metric, better, better), metric.name);
    assert.ok(!isBetter(metric, NaN, null), `${metric.name}: nothing would be better afterwards`);
  }
});

test("every objective has the loss, and others are refused with what it has", () => {
  for (const objective of OBJECTIVES) assert.equal(findEvalMetric(undefined, objective), LOSS);
  assert.throws(() => findEvalMetric("macro-f1", findObjective("cross-entropy")), {
    code: "usage/flag",
    message: /"macro-f1" with objective "cross-entropy": expected one of loss, perplexity, token-accuracy$/,
  });
  assert.equal(findEvalMetric("macro-f1", findObjective("classification")).key, "macro_f1");
  assert.equal(findEvalMetric("reward-accuracy", findObjective("dpo")).key, "rewards/accuracies");
});

test("perplexity is of objectives whose loss is that of tokens, not of all that read texts", () => {
  const crossEntropy = findObjective("cross-entropy");
  assert.equal(findEvalMetric("perplexity", crossEntropy).key, "perplexity");
  const { hasPerplexity: _, ...own } = { ...crossEntropy, name: "focal" };
  assert.throws(() => findEvalMetric("perplexity", own), {
    code: "usage/flag",
    message: /"perplexity" with objective "focal": expected one of loss, token-accuracy$/,
  });
});

test("shares and F1 of predictions, counted over batches", () => {
  const counts = new PredictionCounts();
  counts.add(Int32Array.of(0, 0, 1), Int32Array.of(0, 1, 1), Float32Array.of(1, 1, 1));
  counts.add(Int32Array.of(2, 0), Int32Array.of(2, 2), Float32Array.of(1, 1));
  // Class 0: TP 1, FP 2, FN 0; class 1: TP 1, FP 0, FN 1; class 2: TP 1, FP 0, FN 1.
  const expected = (2 / 4 + 2 / 3 + 2 / 3) / 3;
  const { accuracy, macroF1 } = counts;
  assert.equal(accuracy, 3 / 5);
  assert.ok(Math.abs(macroF1 - expected) < 1e-12);
  const weighted = new PredictionCounts();
  weighted.add(Int32Array.of(5, 6), Int32Array.of(5, 7), Float32Array.of(3, 1));
  assert.equal(weighted.accuracy, 0.75);
});

test("an evaluation tells the number of every metric of its objective, whatever the metric makes it of", () => {
  const predictions = { accuracy: 0.5, macroF1: 0.25, microF1: 0.5, pearson: -0.5, spearman: 0 };
  for (const objective of OBJECTIVES) {
    const told = metricsOf(objective, { loss: 2, predictions, metrics: { "rewards/accuracies": 0.75 } });
    const own = EVAL_METRICS.filter((metric) => metric.isOf(objective));
    assert.deepEqual(
      Object.keys(told),
      own.map(({ key }) => key),
      objective.name,
    );
    for (const [key, value] of Object.entries(told))
      assert.ok(Number.isFinite(value), `${objective.name}: ${key}`);
    const unseen = Object.keys(metricsOf(objective, { loss: 2, predictions: null, metrics: {} }));
    assert.deepEqual(
      unseen,
      own.filter((metric) => !metric.needsPredictions).map(({ key }) => key),
      objective.name,
    );
  }
  const crossEntropy = findObjective("cross-entropy");
  assert.deepEqual(metricsOf(crossEntropy, { loss: 2, predictions, metrics: {} }), {
    loss: 2,
    perplexity: Math.exp(2),
    token_accuracy: 0.5,
  });
});

test("correlations and F1 of outputs are those of their definitions, computed by numpy", () => {
  const pairs = new TargetPairs();
  const [found, wanted] = [
    [0.5, -1.25, 2, 0.5, 3.5, -0.75],
    [1, -1, 0, 2, 5, -1],
  ];
  for (const [i, value] of found.entries()) pairs.add(Float32Array.of(value), Float32Array.of(wanted[i]!));
  assert.ok(Math.abs(pairs.pearson - 0.8219235) < 1e-6, String(pairs.pearson));
  assert.ok(Math.abs(pairs.spearman - 0.7941176) < 1e-6, String(pairs.spearman));
  const labels = new TargetPairs();
  labels.add(Float32Array.of(1, -1, 2), Float32Array.of(1, 1, 0));
  labels.add(Float32Array.of(-1, -1, 0.5), Float32Array.of(0, 0, 1));
  assert.equal(labels.microF1, 4 / 6);
  assert.equal(new TargetPairs().microF1, 0);
});
