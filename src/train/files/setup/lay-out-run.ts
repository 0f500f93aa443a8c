/** @file What a run attaches to its model, from its settings and the model's files, without reading weights or data. */
import type { Checkpoint } from "../../../format/checkpoint/checkpoint.ts";
import { keptIn } from "../../../format/checkpoint/load-model.ts";
import type { Model } from "../../../models/model.ts";
import type { AdapterView } from "../../../peft/adapter-view.ts";
import { type AttachRequest, type Layout, layOut } from "../../../peft/layout.ts";
import type { Method } from "../../../peft/method.ts";
import { findMethod } from "../../../peft/methods.ts";
import { outlineAdapter } from "../../../peft/outline.ts";
import { type Preview, previewLayout } from "../../../peft/preview.ts";
import { requireMatchedPatterns } from "../../../peft/sites/targets.ts";
import { type TrainOptions, methodOptions } from "../../settings/options.ts";
import { requireTrainedHead, trainFreshHead } from "./class-head.ts";
import { targetModules } from "./first-adapter.ts";
import { requireSomethingTrained } from "./run-choices.ts";
import { withTokenIds } from "./token-ids.ts";

/** What is attached to a model, and an outline of the result. */
export interface RunLayout {
  readonly method: Method;
  readonly request: AttachRequest;
  readonly layout: Layout;
  /** The adapter without numbers, from which programs are planned. */
  readonly outline: AdapterView;
  readonly preview: Preview;
}

/** Lays out what a run trains. @throws UsageError for options and modules that the method or the model does not have */
export function layOutRun(
  options: TrainOptions,
  checkpoint: Checkpoint,
  model: Model,
  methods: readonly Method[],
): RunLayout {
  const method = findMethod(options.method, methods);
  const withIds = withTokenIds(options.model, checkpoint, method, methodOptions(options, methods));
  const ofMethod = trainFreshHead(checkpoint, method, withIds);
  const targets = { modules: targetModules(options.targetModules), layers: options.layers ?? null };
  const request = { method, options: ofMethod, targets };
  const layout = layOut(model, keptIn(checkpoint), request);
  const preview = previewLayout(layout);
  requireSomethingTrained(options, method, preview.numTrained);
  requireTrainedHead(checkpoint, method, layout);
  requireMatchedPatterns(layout.options, preview.paths);
  return { method, request, layout, outline: outlineAdapter(layout, method), preview };
}
