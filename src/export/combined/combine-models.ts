/**
 * @file Combines fully fine-tuned models, tensor by tensor, so that no whole model is in memory:
 *
 *   θ = θ₀ + Σ w (θᵢ − θ₀)     θ₀ of the base model, not needed if the weights sum to 1
 */
import { COMBINATIONS, type Combination, type CombineOptions } from "../../peft/algebra/combinations.ts";
import { combineFromStart } from "../../peft/algebra/combine.ts";
import {
  type AdapterWeights,
  type FisherOf,
  type Plan,
  type StartOf,
  algebraOf,
  toPlan,
} from "../../peft/algebra/plan.ts";
import { refuseFisher } from "../../peft/algebra/fisher.ts";
import { refuseCut, refuseProduct } from "../../peft/algebra/refusals.ts";
import { type Sum, formatExpression } from "../../peft/algebra/expression.ts";
import { autoClassesOf } from "../../models/auto-classes.ts";
import { openModel } from "../../models/families.ts";
import { WHOLE_MODEL } from "../../peft/methods.ts";
import { dequantize } from "../../quant/stored-tensor.ts";
import { type HostTensor, hostTensor, zeros } from "../../runtime/host-tensor.ts";
import { numElements } from "../../graph/shape.ts";
import { namesIn } from "../../format/files/disk/names-in.ts";
import { writeFolderAtomic } from "../../format/files/atomic.ts";
import { type Checkpoint } from "../../format/checkpoint/checkpoint.ts";
import { modelFolderFiles } from "../../format/checkpoint/model-folder-files.ts";
import { folderTensors } from "../../format/checkpoint/folder-tensors.ts";
import { openCheckpoint } from "../../format/by-path.ts";
import { wholeModelCard } from "../../format/cards/whole-model-card.ts";
import { describeCombination } from "../provenance.ts";
import type { CombinedFolder, FoldersByName, OnBase } from "./combined-folder.ts";
import { readFisher } from "./fisher-file.ts";
import { refuseInfinite } from "./large-numbers.ts";
import { refuseOtherBase, refuseUnlikeModels } from "./refuse-unlike-models.ts";

/** Whether a folder contains a whole model and no adapter. */
export async function isModelFolder(path: string): Promise<boolean> {
  const names = await namesIn(path);
  return names.includes("config.json") && !names.includes("adapter_config.json");
}

/** What a combination needs to know of a whole model before its tensors are read. */
const WHOLE: AdapterWeights = {
  method: WHOLE_MODEL,
  options: {},
  sites: new Map(),
  base: new Map(),
  frozen: new Map(),
  storedTransposed: false,
  fisher: null,
};

/**
 * Checks that models can be combined; `write` of the result reads, combines and writes them.
 * @throws UsageError "usage/combine" when they do not fit each other or the way of combining; as `openCheckpoint`.
 */
export async function combineModels(
  sum: Sum,
  paths: FoldersByName,
  options: CombineOptions,
  { base, license, beforePart }: OnBase,
): Promise<CombinedFolder> {
  const startOf: StartOf | null = base && ((name) => base.values(name));
  const { byFisher }: Combination = COMBINATIONS[options.type];
  const weights = new Map<string, AdapterWeights>();
  for (const [name, path] of Object.entries(paths)) {
    weights.set(name, { ...WHOLE, fisher: byFisher ? await fisherOfModel(path, name) : null });
  }
  const plan = toPlan(sum, weights, options, startOf);
  if (byFisher) refuseFisher(plan.members, algebraOf(WHOLE_MODEL));
  refuseCut(plan.members, algebraOf(WHOLE_MODEL), plan.combination);
  if (plan.combination.multiplies) refuseProduct(plan.members, algebraOf(WHOLE_MODEL));
  const names = plan.members.map(({ name }) => name);
  const expression = formatExpression(sum);
  const open = <T>(use: (models: readonly Checkpoint[]) => Promise<T>): Promise<T> =>
    withCheckpoints(
      names.map((name) => paths[name]!),
      use,
    );
  return open(async (models) => {
    refuseUnlikeModels(names, models);
    const [first] = models as readonly [Checkpoint, ...Checkpoint[]];
    if (base) refuseOtherBase(names[0]!, first, base);
    // Combines one tensor, so that a combination that is impossible fails before anything is written.
    const [smallest] = [...first.tensors.values()].sort((a, b) => a.sizeBytes - b.sizeBytes);
    if (smallest) await combineTensor({ plan, models, expression, beforePart }, smallest.name, 0);
    return {
      expression,
      method: WHOLE_MODEL.name,
      numParameters: [...first.tensors.values()].reduce((count, { shape }) => count + numElements(shape), 0),
      residual: null,
      startCosine: null,
      warnings: [],
      write: (path) =>
        open(async (again) => {
          const model = openModel(again[0]!.config);
          const card = wholeModelCard({
            baseName: base?.name ?? null,
            task: model.task,
            loader: autoClassesOf(model).found,
            tags: ["merge"],
            readBy: "transformers",
            provenance: await describeCombination(sum, paths, options, license),
          });
          const files = modelFolderFiles({
            ...combinedParts({ plan, models: again, expression, beforePart }),
            card,
          });
          await writeFolderAtomic(path, files, { isNew: true });
        }),
    };
  });
}

/** Fisher information of a whole model; zero for tensors that no training changes. @throws as `readFisher`, `openCheckpoint` */
async function fisherOfModel(path: string, name: string): Promise<FisherOf> {
  const estimated = await readFisher(path, name);
  const { tensors } = await withCheckpoints([path], async ([model]) => openModel(model!.config));
  return async (tensor) => {
    const spec = tensors.get(tensor);
    return spec?.role === "buffer" ? zeros("float32", spec.shape) : await estimated(tensor);
  };
}

/** A plan with its opened models. */
interface OpenCombination {
  readonly plan: Plan;
  readonly models: readonly Checkpoint[];
  /** The sum as the caller wrote it. */
  readonly expression: string;
  readonly beforePart: OnBase["beforePart"];
}

/** The combined model, with the settings of the first model; each tensor is combined when it is written. */
function combinedParts(combined: OpenCombination) {
  const { config, floatSettings, generationConfig, tokenizerFiles, tensors, ...first } = combined.models[0]!;
  const { checkpoint, imageProcessor } = openModel(config, undefined, first.imageProcessor);
  return {
    config: { ...config, dtype: "float32", torch_dtype: "float32" },
    floatSettings,
    generationConfig,
    imageProcessor,
    tokenizerFiles,
    tensors: folderTensors(
      checkpoint,
      [...tensors.values()].map(({ name, shape }, position) => {
        const load = (): Promise<HostTensor> => combineTensor(combined, name, position);
        return [name, { dtype: "float32", shape, load }] as const;
      }),
    ),
  };
}

/** The sum of a tensor over all models. @throws UsageError "usage/combine" for numbers that float32 cannot represent */
async function combineTensor(
  { plan, models, expression, beforePart }: OpenCombination,
  name: string,
  position: number,
): Promise<HostTensor<"float32">> {
  await beforePart();
  const tensor = await combineFromStart(name, plan, await readAll(models, name), [position]);
  refuseInfinite(expression, name, tensor);
  return tensor;
}

async function withCheckpoints<T>(
  paths: readonly string[],
  use: (models: readonly Checkpoint[]) => Promise<T>,
): Promise<T> {
  const models: Checkpoint[] = [];
  try {
    for (const path of paths) models.push(await openCheckpoint(path));
    return await use(models);
  } finally {
    for (const model of models) await model.close();
  }
}

function readAll(models: readonly Checkpoint[], name: string): Promise<HostTensor<"float32">[]> {
  return Promise.all(
    models.map(async (model) => {
      const stored = await model.read(name);
      return hostTensor("float32", stored.shape, dequantize(stored));
    }),
  );
}
