/**
 * @file The library: what a program imports from "graft". Everything else may change without notice.
 *
 * `test/package/surface.test.ts` checks the list of names; changing it is a change for users.
 */
export * from "./everywhere.ts";
export type { Engine, EngineOptions } from "./runtime/engine.ts";
export { createEngine } from "./runtime/create-engine.ts";
export { combineAdapters, type CombineInput } from "./export/combined/combine.ts";
export { type CombinedFolder } from "./export/combined/combined-folder.ts";
export { writeFisher } from "./export/combined/fisher-file.ts";
export { type OnnxRequest, writeOnnxModel } from "./export/onnx/write-onnx.ts";
export { type ReadAdapter } from "./format/adapters/read-adapter.ts";
export { readAdapter, type LoadByPathOptions, type LoadedModel, writeAdapter } from "./format/by-path.ts";
export { type Checkpoint } from "./format/checkpoint/checkpoint.ts";
export { type LoadOptions } from "./format/checkpoint/load-model.ts";
export { loadModel, openCheckpoint } from "./hub/open-model.ts";
export { DEFAULT_MODEL, type ResolvedModel, type ResolveOptions, resolveModel } from "./hub/resolve.ts";
export { type DatasetOptions } from "./data/dataset.ts";
export type { ReadingProgress, ReadOptions } from "./data/files/read-files.ts";
export { type Dataset, readDataset } from "./data/by-path.ts";
export { type ImageSet, readImageFile, readImages } from "./data/files/image-files.ts";
export { type ImageExample, imageFiles } from "./data/examples/images.ts";
export { estimateFisher } from "./train/fisher.ts";
export type {
  DoneEvent,
  EvalEvent,
  FitEvent,
  NoteEvent,
  ReadEvent,
  ResumeEvent,
  SampleEvent,
  StartEvent,
  StepEvent,
  TrainEvent,
} from "./train/events.ts";
export {
  type AveragedHooks,
  type AveragedInput,
  type AveragedOptions,
  trainAveraged,
  trainContribution,
} from "./train/files/averaged-training.ts";
export { endRound, type OuterOptions, type Round } from "./train/files/averaged-rounds.ts";
export { type Contribution, outerStep } from "./peft/algebra/outer-step.ts";
export type { LooseTrainInput, TrainOptions } from "./train/settings/options.ts";
export type { TrainInput } from "./train/settings/train-input.ts";
export type { TrainResult } from "./train/trainer.ts";
export type { SharedModel, TrainHooks } from "./train/train-hooks.ts";
export { train } from "./engine/train.ts";
export { type Classification, Classifier } from "./engine/classifier.ts";
export { type Answer, Conversation } from "./engine/conversation.ts";
export type { FinishReason } from "./engine/serving/serve-request.ts";
export { exportText, importText, type MovedText } from "./engine/serving/moved-text.ts";
export {
  type ListedTask,
  type Task,
  type TaskRow,
  TaskSet,
  type TaskSetParts,
} from "./engine/generation/task-set.ts";
export { type OpenTextOptions, openTextModel } from "./engine/open-text-model.ts";
export type { TextParts } from "./engine/opening/model-parts.ts";
export type { TaskPrompt, TextModel, TextRequest, WrittenText } from "./engine/text-model.ts";
