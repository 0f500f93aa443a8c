/**
 * @file Gets everything a run needs, cheapest first: settings, data, the fit into memory, then weights and adapter.
 */
import { UsageError } from "../../errors.ts";
import { parseSettings } from "../../messages/expected.ts";
import { withChatTemplate } from "../../data/files/chat-template-file.ts";
import { type TrainingUnit, exampleLength } from "../../data/batch.ts";
import { type StepPlan, planSteps } from "../../data/order.ts";
import { compareTokenizerFiles } from "../../data/tokenizer-notes.ts";
import { type AdapterOrigin } from "../../format/adapters/adapter.ts";
import { openCheckpoint } from "../../format/by-path.ts";
import { type Checkpoint } from "../../format/checkpoint/checkpoint.ts";
import { loadWeights, residentBytes, keptIn } from "../../format/checkpoint/load-model.ts";
import { resolveModel } from "../../hub/resolve.ts";
import { openModel } from "../../models/families.ts";
import type { BaseModel } from "../../models/base-model.ts";
import type { Model } from "../../models/model.ts";
import { type Optimizer } from "../../optim/optimizer.ts";
import { COMPUTES } from "../../nn/computes.ts";
import { f32 } from "../../nn/computes/f32.ts";
import { findOptimizer } from "../../optim/optimizers.ts";
import { findSchedule } from "../../optim/schedules.ts";
import type { Adapter } from "../../peft/attach.ts";
import { previewAttach } from "../../peft/layout.ts";
import type { Method } from "../../peft/method.ts";
import { METHODS, findMethod } from "../../peft/methods.ts";
import { requireMatchedPatterns } from "../../peft/targets.ts";
import { trainedTensors } from "../../peft/trained-tensors.ts";
import type { Residency } from "../../run/weights.ts";
import { requireTrainableBlocks } from "../checks.ts";
import type { DropPlan } from "../dropbp/branch-dropper.ts";
import { requireTrainedBranch } from "../dropbp/branch-list.ts";
import { SENSITIVITIES } from "../dropbp/sensitivity.ts";
import { suitableLearningRate, suitableWarmup } from "../learning-rate.ts";
import { type MemoryPlan, planMemory } from "../memory-plan.ts";
import type { ChosenObjective } from "../objective-step.ts";
import { defaultObjective, findObjective } from "../objectives.ts";
import {
  type TrainOptions,
  methodOptions,
  objectiveOptions,
  optimizerOptions as ownOptimizerOptions,
} from "../options.ts";
import { type ReadingHooks, type RunData, readRunData } from "../run-data.ts";
import { makeAdapter, readModules } from "./first-adapter.ts";
import { type Inputs, describeInputs } from "./making.ts";

const DEFAULT_EPOCHS = 3;
const DEFAULT_SENSITIVITY = "norm";

/** Settings with what the model and the length of the run decide where the user does not. */
export type SettledOptions = TrainOptions & { readonly learningRate: number; readonly warmupSteps: number };

/** How frozen weights are kept: what is rounded for an arithmetic is rounded once. */
export function residencyOf({ compute, weights }: TrainOptions): Residency {
  return COMPUTES[compute] === f32 ? weights : "float32";
}

/** What the loop works with. */
export interface TrainingSetup {
  readonly options: SettledOptions;
  readonly base: BaseModel;
  readonly adapter: Adapter;
  readonly origin: AdapterOrigin;
  readonly data: RunData;
  /** What the run reads, for its card. */
  readonly inputs: Inputs;
  readonly plan: StepPlan<TrainingUnit>;
  readonly totalSteps: number;
  readonly memory: MemoryPlan;
  readonly optimizer: Optimizer;
  readonly optimizerOptions: unknown;
  readonly objective: ChosenObjective;
  readonly dropBp: DropPlan | null;
  /** What the run starts from, for objectives that compare with it; null: the base alone. */
  readonly reference: Adapter | null;
  /** Sentences that the caller should see. */
  readonly notes: readonly string[];
}

/** Prepares a run. @throws every error of bad settings, data, model and memory, before anything is written. */
export async function setUp(
  options: TrainOptions,
  methods: readonly Method[] = METHODS,
  hooks: ReadingHooks = {},
): Promise<TrainingSetup> {
  const method = findMethod(options.method, methods);
  const [ofMethod, ofOptimizer] = [methodOptions(options, methods), ownOptimizerOptions(options)];
  const optimizer = findOptimizer(options.optimizer);
  const { path } = await resolveModel(options.model);
  const opened = await openCheckpoint(path);
  try {
    const checkpoint = withChatTemplate(opened, options.chatTemplate);
    const kinds = {
      methods,
      method,
      ofMethod,
      optimizer,
      optimizerOptions: parseSettings(
        optimizer.options,
        ofOptimizer,
        `options of optimizer "${optimizer.name}"`,
      ),
      hooks,
    };
    return await setUpOn(path, checkpoint, options, kinds);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

interface Kinds {
  /** Those that an adapter to start from may be of. */
  readonly methods: readonly Method[];
  readonly method: Method;
  /** The method's options as they were given. */
  readonly ofMethod: unknown;
  readonly optimizer: Optimizer;
  readonly optimizerOptions: unknown;
  readonly hooks: ReadingHooks;
}

async function setUpOn(
  path: string,
  checkpoint: Checkpoint,
  options: TrainOptions,
  { methods, method, ofMethod, optimizer, optimizerOptions, hooks }: Kinds,
): Promise<TrainingSetup> {
  const model = openModel(checkpoint.config);
  const targets = {
    modules: readModules(options.targetModules),
    exclude: [],
    layers: options.layers ?? null,
  };
  const objective = chooseObjective(options, model);
  const dropBp = dropPlan(options);
  const data = await readRunData(options, model, objective.objective, checkpoint.tokenizerFiles, hooks);
  if (options.earlyStopping !== undefined && data.heldOut === null) {
    throw new UsageError("usage/flag", "Cannot stop early: there is no held-out data to evaluate on", {
      hint: "Give --eval-data or --eval-share, or a data folder with valid.jsonl.",
    });
  }
  const plan = planSteps({ ...options, examples: data.train, sources: data.sources });
  const totalSteps =
    options.steps ?? Math.max(1, Math.round((options.epochs ?? DEFAULT_EPOCHS) * plan.stepsPerEpoch));
  const request = { method, options: ofMethod, targets };
  const preview = previewAttach(model, keptIn(checkpoint), request);
  const parsed = method.options.parse(ofMethod);
  const learningRate = method.learningRateFor?.(parsed) ?? method.learningRate;
  const rateOf = { method: { learningRate }, optimizer, objective: objective.objective, width: model.width };
  const settled = {
    ...options,
    learningRate: options.learningRate ?? suitableLearningRate(rateOf),
    warmupSteps: options.warmupSteps ?? suitableWarmup(findSchedule(options.schedule), totalSteps),
  };
  requireShortWarmup(options, totalSteps);
  requireMatchedPatterns(parsed, preview.paths);
  const memory = planMemory({
    model,
    storedBytes: residentBytes(checkpoint) + preview.frozenBytes,
    weights: residencyOf(options),
    ...largestBatch(options, data.train),
    numTrainable: preview.numTrained,
    trainsHead: trainedTensors(model, method, parsed, new Set()).some(({ name }) =>
      [name, model.storedName(name)].includes(model.storedName(model.headTensor.name)),
    ),
    numSlots: optimizer.slots.length,
    gradientCheckpointing: options.gradientCheckpointing,
  });
  const base = await loadWeights(path, checkpoint, { name: options.model });
  const adapter = await makeAdapter(options, base, request, methods);
  requireTrainableBlocks(model, adapter);
  if (dropBp) requireTrainedBranch(model, adapter, dropBp.rate);
  // As TRL: a copy of an adapter to start from. Read once more, so that a resumed run has it too.
  const reference =
    options.initAdapter !== undefined && objective.objective.needs.includes("reference")
      ? await makeAdapter(options, base, request, methods)
      : null;
  const origin = { base, checkpoint, chatTemplateHash: data.chatTemplateHash };
  return {
    options: settled,
    base,
    adapter,
    origin,
    data,
    inputs: await describeInputs(options),
    plan,
    totalSteps,
    memory,
    optimizer,
    optimizerOptions,
    objective,
    dropBp,
    reference,
    notes: [...compareTokenizerFiles(checkpoint), ...data.notes],
  };
}

/** How branches are dropped; null: they are not. @throws UsageError "usage/flag" */
function dropPlan({ dropbp, dropbpRates, maxLength }: TrainOptions): DropPlan | null {
  if (dropbp === undefined && dropbpRates !== undefined) {
    throw new UsageError("usage/flag", `Cannot use dropbpRates "${dropbpRates}": no dropbp is given`, {
      hint: "Give --dropbp, the share of the backward pass that is left out.",
    });
  }
  if (dropbp === undefined || dropbp === 0) return null;
  const sensitivity = SENSITIVITIES.find(({ name }) => name === (dropbpRates ?? DEFAULT_SENSITIVITY)) ?? null;
  return { rate: dropbp, sensitivity, length: maxLength };
}

/** Refuses a warm-up in which the run ends: it would never have the learning rate that was asked for. @throws UsageError "usage/flag" */
function requireShortWarmup({ warmupSteps = 0 }: TrainOptions, totalSteps: number): void {
  if (warmupSteps < totalSteps || warmupSteps === 0) return;
  throw new UsageError(
    "usage/flag",
    `Cannot warm up over ${warmupSteps} steps: the run has ${totalSteps}, expected fewer`,
    { hint: "Choose fewer warm-up steps, or train for longer." },
  );
}

/** The objective that is asked for, or that of what the model is for. @throws UsageError "usage/flag" */
function chooseObjective(options: TrainOptions, { task }: Model): ChosenObjective {
  const chosen = options.objective === undefined ? defaultObjective(task) : findObjective(options.objective);
  return {
    objective: chosen,
    options: parseSettings(
      chosen.options,
      objectiveOptions(options, chosen.name),
      `options of objective "${chosen.name}"`,
    ),
  };
}

function largestBatch(
  options: TrainOptions,
  examples: readonly TrainingUnit[],
): { batchTokens: number; rowTokens: number } {
  const longest = examples.reduce((max, example) => Math.max(max, exampleLength(example)), 0);
  const rowTokens = options.packing ? options.maxLength : longest;
  const numRows = options.packing ? options.batchSize : Math.min(options.batchSize, examples.length);
  return { batchTokens: rowTokens * numRows, rowTokens };
}
