/**
 * @file The library: what a program imports from "graft". Everything else may change without notice.
 *
 * `test/surface.test.ts` holds the list of names; a change there is a change for users.
 */
export {
  CapacityError,
  CODES,
  type ErrorCode,
  exitStatus,
  FailedError,
  FormatError,
  GraftError,
  UsageError,
} from "./errors.ts";
export { Random } from "./random.ts";
export type { Engine, EngineOptions } from "./runtime/engine.ts";
export { createEngine } from "./runtime/create-engine.ts";
export { FAMILIES } from "./models/families.ts";
export type { Family, ModelDefinition } from "./models/family.ts";
export type { Model } from "./models/model.ts";
export type { BaseModel } from "./models/base-model.ts";
export { Session } from "./run/session.ts";
export { type Adapter, attach } from "./peft/attach.ts";
export type { AttachRequest } from "./peft/layout.ts";
export { mergeAdapter, mergedModel } from "./peft/merge.ts";
export {
  type AdapterMethod,
  ALL_LINEAR,
  type BaseMethod,
  defineBaseMethod,
  defineMethod,
  type Method,
  NOTHING_FROZEN,
  PLAIN_FILE,
} from "./peft/method.ts";
export type {
  Frozen,
  FrozenSpec,
  ParameterSpec,
  SitePlace,
  SiteStart,
  SiteTensors,
  SiteValues,
  SiteWeights,
} from "./peft/site.ts";
export type { SiteSpec } from "./models/sites.ts";
export type { Builder, SiteRole } from "./nn/builder.ts";
export { type PassFacts, type PassInput, passInput } from "./nn/pass.ts";
export type { SiteGraph } from "./models/site-graph.ts";
export type { Value } from "./graph/graph.ts";
export * as ops from "./graph/operations.ts";
export { METHODS } from "./peft/methods.ts";
export { combineAdapters, type CombinedFolder, type CombineInput } from "./export/combine.ts";
export { writeFisher } from "./export/fisher-file.ts";
export { type ReadAdapter } from "./format/adapters/adapter.ts";
export { readAdapter, type LoadByPathOptions, type LoadedModel, writeAdapter } from "./format/by-path.ts";
export { type Checkpoint } from "./format/checkpoint/checkpoint.ts";
export { type LoadOptions } from "./format/checkpoint/load-model.ts";
export { loadModel, openCheckpoint } from "./hub/open-model.ts";
export { DEFAULT_MODEL, type ResolvedModel, type ResolveOptions, resolveModel } from "./hub/resolve.ts";
export { type ChatTemplate, createChatTemplate } from "./data/chat-template.ts";
export { type DatasetOptions } from "./data/dataset.ts";
export { type Dataset, readDataset, type ReadingProgress, type ReadOptions } from "./data/by-path.ts";
export { type ImageSet, readImageFile, readImages } from "./data/files/image-files.ts";
export type { Example } from "./data/example.ts";
export { type ImageExample, imageFiles } from "./data/images.ts";
export { createTokenizer, type Tokenizer } from "./data/tokenizer.ts";
export type { Optimizer } from "./optim/optimizer.ts";
export { OPTIMIZERS } from "./optim/optimizers.ts";
export { SCHEDULES } from "./optim/schedules.ts";
export { type Evaluation, Evaluator } from "./train/evaluate.ts";
export { estimateFisher } from "./train/fisher.ts";
export {
  type EvaluationPlan,
  fineTune,
  type FineTuneHooks,
  type FineTuneRequest,
  type FineTuneResult,
  type OptimizerPlan,
} from "./train/fine-tune.ts";
export { type Batch, type TrainingUnit, toBatch } from "./data/batch.ts";
export { type PlanOptions, planSteps, type StepPlan } from "./data/order.ts";
export { unitsToBatch } from "./train/micro-batch.ts";
export { OBJECTIVES } from "./train/objectives.ts";
export { NO_STORE, type RunStore } from "./train/run-store.ts";
export type {
  DoneEvent,
  EvalEvent,
  NoteEvent,
  ReadEvent,
  ResumeEvent,
  SampleEvent,
  StartEvent,
  StepEvent,
  TrainEvent,
} from "./train/events.ts";
export {
  type AveragedInput,
  type AveragedOptions,
  trainAveraged,
  trainContribution,
} from "./train/files/averaged-training.ts";
export { type Contribution, outerStep } from "./peft/algebra/outer-step.ts";
export type { TrainInput, TrainOptions } from "./train/options.ts";
export { type TrainHooks, type TrainResult } from "./train/trainer.ts";
export { train } from "./engine/train.ts";
export { type Classification, Classifier } from "./engine/classifier.ts";
export { Conversation } from "./engine/conversation.ts";
export type { FinishReason } from "./engine/serve-request.ts";
export { exportText, importText, type MovedText } from "./engine/moved-text.ts";
export { Generator, type GenerateRequest } from "./engine/generator.ts";
export { type ListedTask, type Task, type TaskRow, TaskSet, type TaskSetParts } from "./engine/task-set.ts";
export {
  type OpenTextOptions,
  openTextModel,
  type TaskPrompt,
  type TextModel,
  type TextRequest,
  type WrittenText,
} from "./engine/text-model.ts";
