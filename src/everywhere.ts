/**
 * @file What both entries of the library export: "graft" (index.ts) and "graft/core" (core.ts). Nothing reachable from here
 * imports Node or an engine.
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
export { FAMILIES } from "./models/families.ts";
export type { Family, ModelDefinition } from "./models/family.ts";
export type { Model } from "./models/model.ts";
export type { BaseModel, WeightSource } from "./models/base/base-model.ts";
export type { Compiled, ProgramSource, ProgramUse } from "./run/session-programs.ts";
export { Session } from "./run/session.ts";
export { type Adapter, attach } from "./peft/attach.ts";
export type { AdaptedSite, AttachRequest } from "./peft/layout.ts";
export type { Parameter, ParameterGroup } from "./peft/parameters.ts";
export type { Targets } from "./peft/sites/targets.ts";
export { mergeAdapter } from "./peft/merge.ts";
export { mergedModel } from "./peft/merged-model.ts";
export { defineBaseMethod, defineMethod } from "./peft/define-method.ts";
export {
  type AdapterMethod,
  ALL_LINEAR,
  type BaseMethod,
  type FrozenTensors,
  type Method,
  type MethodTargets,
  NOTHING_FROZEN,
  type TrainedTensors,
} from "./peft/method.ts";
export { type AdapterFile, PLAIN_FILE } from "./peft/contract/adapter-file.ts";
export type {
  Frozen,
  FrozenSpec,
  ParameterSpec,
  SitePlace,
  SiteStart,
  SiteTensors,
  SiteValues,
  SiteWeights,
} from "./peft/sites/site.ts";
export type { SiteSpec } from "./models/graphs/sites.ts";
export type { Builder, SiteRole } from "./nn/builder.ts";
export { type PassFacts, type PassInput, passInput } from "./nn/pass.ts";
export type { SiteGraph } from "./models/graphs/site-graph.ts";
export type { Value } from "./graph/graph.ts";
export * as ops from "./graph/operations.ts";
export { METHODS } from "./peft/methods.ts";
export { type ChatTemplate, createChatTemplate } from "./data/chat/chat-template.ts";
export type { ClassExample } from "./data/examples/class-example.ts";
export type { Example } from "./data/examples/example.ts";
export { createTokenizer, type StreamOptions, type Tokenizer } from "./data/tokenizer/tokenizer.ts";
export type { TokenStream } from "./data/tokenizer/token-stream.ts";
export type { Optimizer, UpdateInputs, UpdateOutputs } from "./optim/optimizer.ts";
export { OPTIMIZERS } from "./optim/optimizers.ts";
export { SCHEDULES } from "./optim/schedules.ts";
export type { GroupState } from "./optim/updater.ts";
export { type EvaluateOptions, type Evaluation, Evaluator, type EvaluatorOptions } from "./train/evaluate.ts";
export { fineTune, type FineTuneResult } from "./train/loop/fine-tune.ts";
export type {
  EvaluationPlan,
  FineTuneHooks,
  FineTuneRequest,
  OptimizerPlan,
} from "./train/loop/fine-tune-request.ts";
export { type Batch, toBatch } from "./data/batches/batch.ts";
export type { TrainingUnit } from "./data/examples/training-unit.ts";
export { type PlanOptions, planSteps, type StepPlan } from "./data/batches/order.ts";
export { unitsToBatch } from "./train/step/micro-batch.ts";
export type { Objective, Outcome, Scores, StepTotals } from "./train/objective.ts";
export { OBJECTIVES } from "./train/objectives.ts";
export type { RunState } from "./train/loop/run-state.ts";
export { NO_STORE, type RunStore } from "./train/loop/run-store.ts";
export {
  type GeneratedToken,
  Generator,
  type GenerateRequest,
  type GeneratorParts,
} from "./engine/generation/generator.ts";
export type { ServingEngine } from "./engine/serving/serving-engine.ts";
export type { ServeRequest } from "./engine/serving/serve-request.ts";
export type { Completion, GenerationEnd } from "./engine/generation/completion.ts";
export type { Grammar, GrammarCursor } from "./engine/grammar/token-grammar.ts";
export type { SamplingOptions } from "./engine/sampling/sampler.ts";
export type { ScoredToken, TokenLogProbs } from "./engine/sampling/token-log-probs.ts";
export type { Message } from "./data/rows/messages.ts";
export type { Schedule } from "./optim/schedule.ts";
export type { HostTensor } from "./runtime/host-tensor.ts";
