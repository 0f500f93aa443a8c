/**
 * @file Gets everything a run needs, cheapest first: settings, data, the fit into memory, then weights and adapter.
 */
import { type TrainingUnit, exampleLength } from "../../data/batch.ts";
import { compareTokenizerFiles } from "../../data/tokenizer-notes.ts";
import { type AdapterOrigin } from "../../format/adapters/adapter.ts";
import { loadWeights, residentBytes } from "../../format/checkpoint/load-model.ts";
import type { BaseModel } from "../../models/base-model.ts";
import type { Adapter } from "../../peft/attach.ts";
import { type Method, configFileOf } from "../../peft/method.ts";
import { METHODS } from "../../peft/methods.ts";
import { trainedTensors } from "../../peft/trained-tensors.ts";
import { requireTrainableBlocks } from "../checks.ts";
import { requireTrainedBranch } from "../dropbp/branch-list.ts";
import { parseByteSize } from "../../messages/byte-size.ts";
import { RESIDENT, type VectorMemory } from "../../runtime/vector-memory.ts";
import { requireFrozenShards, requireResidentBudget } from "../resident-budget.ts";
import { type MemoryPlan, planMemory } from "../memory-plan.ts";
import type { TrainOptions } from "../options.ts";
import type { ReadingHooks } from "../run-data.ts";
import { requireTrainedHead } from "./class-head.ts";
import { makeAdapter } from "./first-adapter.ts";
import { type Inputs, describeInputs } from "./making.ts";
import { type OpenedRun, type PreparedRun, openRun, residencyOf, settleRun } from "./prepare.ts";

/** What the loop works with. */
export interface TrainingSetup extends Pick<
  PreparedRun,
  "options" | "data" | "plan" | "totalSteps" | "optimizer" | "optimizerOptions" | "objective" | "dropBp"
> {
  readonly base: BaseModel;
  readonly adapter: Adapter;
  readonly origin: AdapterOrigin;
  /** What the run reads, for its card. */
  readonly inputs: Inputs;
  readonly memory: MemoryPlan;
  /** What the run starts from, for objectives that compare with it; null: the base alone. */
  readonly reference: Adapter | null;
  /** Sentences that the caller should see. */
  readonly notes: readonly string[];
}

/** Prepares a run; `base`: the model's weights, where they are open already. @throws every error of bad settings, data, model and memory, before anything is written. */
export async function setUp(
  options: TrainOptions,
  methods: readonly Method[] = METHODS,
  hooks: ReadingHooks = {},
  memory: VectorMemory = RESIDENT,
  base?: BaseModel,
): Promise<TrainingSetup> {
  const opened = await openRun(options, methods, hooks);
  try {
    return await setUpOn(opened, options, memory, base);
  } catch (error) {
    await opened.checkpoint.close();
    throw error;
  }
}

async function setUpOn(
  opened: OpenedRun,
  options: TrainOptions,
  vectors: VectorMemory,
  openBase: BaseModel | undefined,
): Promise<TrainingSetup> {
  const { path, checkpoint, model, methods } = opened;
  const prepared = settleRun(opened, options);
  const { data, request, objective, dropBp } = prepared;
  const memory = planRun(prepared);
  const base = openBase ?? (await loadWeights(path, checkpoint, { name: options.model }));
  const adapter = await makeAdapter(options, base, request, methods, vectors);
  requireTrainableBlocks(model, adapter);
  requireTrainedHead(checkpoint, adapter);
  if (dropBp) requireTrainedBranch(model, adapter, dropBp.rate);
  // As TRL: a copy of an adapter to start from. Read once more, so that a resumed run has it too.
  const reference =
    options.initAdapter !== undefined && objective.objective.needs.includes("reference")
      ? await makeAdapter(options, base, request, methods)
      : null;
  return {
    ...prepared,
    base,
    adapter,
    origin: { base, checkpoint, chatTemplateHash: data.chatTemplateHash },
    inputs: await describeInputs(options, data.fileHashes),
    memory,
    reference,
    notes: [...compareTokenizerFiles(checkpoint), ...data.notes],
  };
}

/** Plans the memory of a run. @throws CapacityError "capacity/memory" when it does not fit */
export function planRun({
  options,
  model,
  method,
  request,
  preview,
  checkpoint,
  data,
  optimizer,
}: PreparedRun): MemoryPlan {
  const parsed = method.options.parse(request.options);
  const trained = trainedTensors(model, method, parsed, new Set());
  const budgetBytes = parseByteSize(options.residentMemory ?? "");
  const numSlots = optimizer.slots.length;
  const waits = configFileOf(method) === null;
  requireFrozenShards(options.shardDtype, budgetBytes !== null, waits);
  if (budgetBytes !== null) {
    const residency = residencyOf(options);
    requireResidentBudget(budgetBytes, { model, trained, waits, numSlots, residency });
  }
  return planMemory({
    model,
    storedBytes: residentBytes(checkpoint) + preview.frozenBytes,
    weights: residencyOf(options),
    ...largestBatch(options, data.train),
    numTrainable: preview.numTrained,
    trainsHead: trained.some(({ name }) =>
      [name, model.storedName(name)].includes(model.storedName(model.headTensor.name)),
    ),
    numSlots,
    gradientCheckpointing: options.gradientCheckpointing,
    budgetBytes,
  });
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
