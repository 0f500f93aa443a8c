/**
 * @file Gets everything a run needs, cheapest first: settings, data, the fit into memory, then weights and adapter.
 */
import { compareTokenizerFiles } from "../../../data/tokenizer/tokenizer-notes.ts";
import type { AdapterOrigin } from "../../../format/adapters/adapter.ts";
import { recordBase } from "../../../format/adapters/base-record.ts";
import { UsageError } from "../../../errors.ts";
import { loadWeights } from "../../../format/checkpoint/load-model.ts";
import type { BaseModel } from "../../../models/base/base-model.ts";
import { mayBeOneModel, sampleBase } from "../../../models/base/base-sample.ts";
import type { Adapter } from "../../../peft/attach.ts";
import { requireTrainableBlocks } from "../../loop/checks.ts";
import { describeMeasuring } from "../../dropbp/branch-dropper.ts";
import { requireTrainedBranch } from "../../dropbp/branch-list.ts";
import type { VectorMemory } from "../../../runtime/memory/vector-memory.ts";
import type { MemoryPlan } from "../../plan/run-memory.ts";
import { describeReaders } from "./describe-readers.ts";
import { startAdapter } from "./first-adapter.ts";
import { type Inputs, describeInputs } from "../provenance.ts";
import type { FittedRun } from "./fit-run.ts";
import type { OpenedRun, PreparedRun } from "./prepare.ts";

/** Everything that the training loop needs. */
export interface TrainingSetup extends Pick<
  PreparedRun,
  "options" | "data" | "plan" | "totalSteps" | "optimizer" | "optimizerOptions" | "objective" | "dropBp"
> {
  readonly base: BaseModel;
  readonly adapter: Adapter;
  readonly origin: AdapterOrigin;
  /** The inputs of the run, for the model card. */
  readonly inputs: Inputs;
  readonly memory: MemoryPlan;
  /** The adapter from which the run starts, for objectives that compare with it; null: the base without an adapter. */
  readonly reference: Adapter | null;
  /** Sentences that the caller should see. */
  readonly notes: readonly string[];
  /** Releases what its adapters share with others on the base; the caller of `setUp` calls it. */
  release(): void;
}

/**
 * Sets up a run that fits. `vectors`: memory of trained parameters; `openBase`: weights already open.
 * @throws errors of weights and adapters
 */
export async function setUp(
  opened: OpenedRun,
  { prepared, memory }: FittedRun,
  vectors: VectorMemory,
  openBase?: BaseModel,
): Promise<TrainingSetup> {
  const { path, methods } = opened;
  // The checkpoint of the plan, not of `opened`: the plan may have rounded the base.
  const { options, checkpoint, model, data, request, objective, dropBp } = prepared;
  const named = await loadWeights(path, checkpoint, { name: options.model });
  const base = openBase ?? named;
  if (openBase) await requireOneModel(openBase, named);
  const started: Adapter[] = [];
  const start = async (memory?: VectorMemory): Promise<Adapter> => {
    const adapter = await startAdapter(options, base, { request, methods, ...(memory && { memory }) });
    started.push(adapter);
    return adapter;
  };
  const release = (): void => {
    for (const adapter of started) adapter.release();
  };
  try {
    const adapter = await start(vectors);
    requireTrainableBlocks(model, adapter);
    // Checked again: an adapter to start from has its own modules.
    if (dropBp) requireTrainedBranch(model, adapter);
    const run = { totalSteps: prepared.totalSteps, microBatches: options.gradientAccumulationSteps };
    // As in TRL, the reference is a copy of the adapter to start from. It is read from its files, so that a resumed run has it too.
    const isCompared = options.initAdapter !== undefined && objective.objective.needs.includes("reference");
    const { chatTemplateHash } = data;
    return {
      ...prepared,
      base,
      adapter,
      origin: { base, checkpoint, chatTemplateHash, baseRecord: await recordBase(base) },
      inputs: await describeInputs(options, data.fileHashes),
      memory,
      reference: isCompared ? await start() : null,
      notes: [
        ...compareTokenizerFiles(checkpoint),
        ...data.notes,
        ...(options.resume ? [] : describeReaders(adapter)),
        ...(dropBp && !options.resume ? describeMeasuring(dropBp, model, run) : []),
      ],
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** Checks that an open model is the one in the settings, which a resumed run would open. @throws UsageError "usage/model" */
async function requireOneModel(open: BaseModel, named: BaseModel): Promise<void> {
  if (mayBeOneModel(await sampleBase(open), await sampleBase(named))) return;
  throw new UsageError(
    "usage/model",
    `Cannot train model "${named.name}" on the open model "${open.name}": their numbers differ, expected one model`,
    { hint: "Name the model that is open, or leave out the open one." },
  );
}
