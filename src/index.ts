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
export type { Engine } from "./runtime/engine.ts";
export { createOrtEngine, type OrtNodeOptions } from "./runtime/ort-node.ts";
export type { Architecture, ModelConfig } from "./models/architecture.ts";
export { ARCHITECTURES } from "./models/architectures.ts";
export type { BaseModel } from "./models/base-model.ts";
export { type Adapter, attach, type AttachRequest } from "./peft/attach.ts";
export { mergeAdapter, mergedModel } from "./peft/merge.ts";
export {
  defineMethod,
  type Frozen,
  type FrozenSpec,
  type Method,
  type ParameterSpec,
  type SiteParameters,
  type SitePlace,
  type SiteStart,
  type SiteTensors,
  type SiteWeights,
} from "./peft/method.ts";
export type { SiteSpec } from "./models/architecture.ts";
export type { SiteGraph } from "./models/block-graph.ts";
export type { Value } from "./graph/graph.ts";
export * as ops from "./graph/operations.ts";
export { METHODS } from "./peft/methods.ts";
export { combineAdapters, type CombinedFolder, type CombineInput } from "./export/combine.ts";
export { type ReadAdapter, readAdapter } from "./format/adapters/adapter.ts";
export { type Checkpoint, openCheckpoint } from "./format/checkpoint/checkpoint.ts";
export { type LoadedModel, loadModel, type LoadOptions } from "./format/checkpoint/load-model.ts";
export { DEFAULT_MODEL, type ResolvedModel, type ResolveOptions, resolveModel } from "./hub/resolve.ts";
export { type ChatTemplate, createChatTemplate } from "./data/chat-template.ts";
export { type Dataset, type DatasetOptions, readDataset } from "./data/dataset.ts";
export type { Example } from "./data/example.ts";
export { type ImageExample, imageFiles, type ImageSet, readImageFile, readImages } from "./data/images.ts";
export { createTokenizer, type Tokenizer } from "./data/tokenizer.ts";
export type { Optimizer } from "./optim/optimizer.ts";
export { OPTIMIZERS } from "./optim/optimizers.ts";
export { SCHEDULES } from "./optim/schedules.ts";
export { type Evaluation, Evaluator } from "./train/evaluate.ts";
export type { DoneEvent, EvalEvent, NoteEvent, StepEvent, TrainEvent } from "./train/events.ts";
export type { TrainInput, TrainOptions } from "./train/options.ts";
export { train, type TrainHooks, type TrainResult } from "./train/trainer.ts";
export { type Classification, Classifier } from "./engine/classifier.ts";
export { Conversation } from "./engine/conversation.ts";
export type { FinishReason } from "./engine/generator.ts";
export {
  type OpenTextOptions,
  openTextModel,
  type TextModel,
  type TextRequest,
  type WrittenText,
} from "./engine/text-model.ts";
