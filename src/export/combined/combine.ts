/**
 * @file Combines adapter folders into one: everything is read and checked before the first byte is written.
 *
 * The model is not needed, but for adapters that train tensors of the base itself.
 */
import { setImmediate } from "node:timers/promises";
import { z } from "zod";
import { A_NAME, A_SIGNAL, checkArguments, lazily } from "../../messages/arguments.ts";
import { UsageError } from "../../errors.ts";
import { parseSettings } from "../../messages/problems.ts";
import { A_BASE, type BaseModel } from "../../models/base/base-model.ts";
import {
  COMBINATIONS,
  type Combination,
  COMBINE_OPTIONS,
  type CombineOptions,
} from "../../peft/algebra/combinations.ts";
import { type Residual, combineWeights } from "../../peft/algebra/combine.ts";
import { LOW_COSINE, type StartCosine } from "../../peft/algebra/cosine.ts";
import type { AdapterWeights, StartOf } from "../../peft/algebra/plan.ts";
import type { AttachRequest } from "../../peft/layout.ts";
import { type Adapter, attach } from "../../peft/attach.ts";
import { type Sum, formatExpression, parseExpression } from "../../peft/algebra/expression.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { numElements } from "../../graph/shape.ts";
import { writeAdapterFolder, readAdapter } from "../../format/by-path.ts";
import { BASE_KEY, TEMPLATE_KEY } from "../../format/adapters/adapter.ts";
import { type OnBase, combineModels, isModelFolder } from "./combine-models.ts";
import { combinedTargets } from "./combined-targets.ts";
import { requireNewOutput } from "../new-output.ts";
import { describeCombination } from "../provenance.ts";
import { refuseInfinite, warnOfLarge } from "./large-numbers.ts";
import { readFisher } from "./fisher-file.ts";
import { refuseUnlikeFolders } from "./refuse-unlike.ts";
import { nodeFolder } from "../../format/files/node-folder.ts";
import { type WeightsFolder, readAdapterWeights } from "../../format/adapters/adapter-weights.ts";
import { weightsFolderParts } from "../../format/adapters/weights-folder.ts";

/** What to combine: adapters, or models that were fine-tuned whole. */
export interface CombineInput extends z.input<typeof COMBINE_OPTIONS> {
  /** Such as "0.6*a + 0.4*b - c". */
  readonly expression: string;
  /** Their folders by the names that the expression uses. */
  readonly adapters: Readonly<Record<string, string>>;
  /** Holds the adapters against this model; needed where tensors of the base itself were trained. */
  readonly base?: BaseModel;
  /** For the card: as a checkpoint tells it; else as the adapters' own cards do. */
  readonly baseLicense?: string | null;
  /** Stops between two modules or tensors, also while they are written. */
  readonly signal?: AbortSignal;
}

/** What adapters came to together, not written yet. */
export interface CombinedFolder {
  /** The expression as it was understood. */
  readonly expression: string;
  readonly method: string;
  readonly numParameters: number;
  /** What a lower rank cut off; null when nothing was. */
  readonly residual: Residual | null;
  /** The two adapters whose A's are farthest apart; null where no factors of several low-rank adapters are mixed. */
  readonly startCosine: StartCosine | null;
  /** Sentences that the user should see. */
  readonly warnings: readonly string[];
  /** Writes the adapter folder, all files or none. @throws FailedError "failed/write" */
  write(path: string): Promise<void>;
}

/** Settings are looked at by themselves. */
const ARGUMENTS = lazily(() =>
  z.strictObject({
    input: z.looseObject({
      expression: z.string(),
      adapters: z.record(z.string(), A_NAME),
      base: A_BASE.optional(),
      baseLicense: z.string().nullish(),
      signal: A_SIGNAL.optional(),
    }),
  }),
);

/**
 * Combines adapter folders; writes nothing.
 * @throws UsageError "usage/combine" for an expression that cannot be read and adapters that do not fit each other,
 * "usage/flag" for bad settings; as `readAdapterWeights`, and as `readAdapter` when a base is given; the reason of `signal`.
 */
export async function combineAdapters(input: CombineInput): Promise<CombinedFolder> {
  checkArguments("combineAdapters", ARGUMENTS, { input });
  const { expression, adapters, base, baseLicense = null, signal, ...settings } = input;
  const options = parseSettings(COMBINE_OPTIONS, settings, "these settings", "See graft combine --help.");
  const sum = parseExpression(expression, Object.keys(adapters));
  const paths = Object.values(adapters);
  const areModels = await Promise.all(paths.map(isModelFolder));
  // A signal of the system is heard while nothing runs.
  const beforePart = (): Promise<void> => setImmediate().then(() => signal?.throwIfAborted());
  const onBase = { base: base ?? null, license: baseLicense, beforePart };
  if (paths.length > 0 && areModels.every(Boolean)) {
    const models = await combineModels(sum, adapters, options, onBase);
    const write = outsideOf(adapters, models.write.bind(models));
    const expressionRead = formatExpression(sum);
    return { ...models, write, expression: expressionRead, residual: null, startCosine: null, warnings: [] };
  }
  refuseModels(adapters, areModels);
  return await combineFolders({ sum, expression }, adapters, options, onBase);
}

/** Combines folders of adapters. @throws as `combineAdapters` */
async function combineFolders(
  { sum, expression }: { readonly sum: Sum; readonly expression: CombineInput["expression"] },
  adapters: CombineInput["adapters"],
  options: CombineOptions,
  { base, license, beforePart }: OnBase,
): Promise<CombinedFolder> {
  const folders = await readFolders(adapters, base);
  const weights = await withFisher(folders, adapters, COMBINATIONS[options.type]);
  const provenance = await describeCombination(sum, adapters, options, license);
  const starts = base && startsOn(base, [...folders.values()]);
  const adapter = await combineWeights(sum, weights, options, { startOf: starts, beforeSite: beforePart });
  const { facts, isSameTemplate } = sharedFacts([...folders.values()]);
  const targets = combinedTargets([...folders.values()], adapter);
  const parts = weightsFolderParts(adapter, targets, facts, provenance);
  const tensors = [
    ...adapter.base.values(),
    ...[...adapter.sites.values()].flatMap((site) => Object.values(site.tensors)),
  ];
  const named = [...parts.tensors].filter(
    (entry): entry is readonly [string, HostTensor<"float32">] => entry[1].dtype === "float32",
  );
  for (const [name, tensor] of named) refuseInfinite(expression, name, tensor);
  return {
    expression: formatExpression(sum),
    method: adapter.method.name,
    numParameters: tensors.reduce((count, { shape }) => count + numElements(shape), 0),
    residual: adapter.residual,
    startCosine: adapter.startCosine,
    warnings: [
      ...(isSameTemplate
        ? []
        : ["The adapters were trained with different chat templates: answers may be poor"]),
      ...warnOfStarts(adapter.startCosine),
      ...warnOfLarge(named),
    ],
    write: outsideOf(adapters, (path) => writeAdapterFolder(path, parts, { isNew: true })),
  };
}

/** The folders that are read, as messages call them. */
export function inputsOf(adapters: CombineInput["adapters"]): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(adapters).map(([name, path]) => [`adapter ${name}`, path]));
}

/** Writing that refuses paths within what is read. */
function outsideOf(
  adapters: CombineInput["adapters"],
  write: CombinedFolder["write"],
): CombinedFolder["write"] {
  return async (path) => {
    await requireNewOutput(path, "hf", inputsOf(adapters));
    await write(path);
  };
}

/** Refuses whole models among adapters. `areModels`: in their order. @throws UsageError "usage/combine" */
function refuseModels(adapters: CombineInput["adapters"], areModels: readonly boolean[]): void {
  const whole = Object.entries(adapters).find((_, i) => areModels[i]);
  if (!whole) return;
  throw new UsageError(
    "usage/combine",
    `Cannot combine "${whole[0]}" with adapters: ${whole[1]} is a whole model, expected an adapter folder`,
    { hint: "Combine models with models, or adapters with adapters." },
  );
}

/** Reads folders by the names of their adapters, and holds them against the base and each other. */
async function readFolders(
  adapters: CombineInput["adapters"],
  base: BaseModel | null,
): Promise<ReadonlyMap<string, WeightsFolder>> {
  const folders = new Map<string, WeightsFolder>();
  for (const [name, path] of Object.entries(adapters)) {
    folders.set(name, await readAdapterWeights(nodeFolder(path)));
    if (base) (await readAdapter(path, base)).adapter.release();
  }
  refuseUnlikeFolders(folders);
  return folders;
}

/** Adapters with the Fisher information in their folders, where the combination weighs by it. */
async function withFisher(
  folders: ReadonlyMap<string, WeightsFolder>,
  paths: CombineInput["adapters"],
  { byFisher }: Combination,
): Promise<Map<string, AdapterWeights>> {
  const weights = new Map<string, AdapterWeights>();
  for (const [name, { adapter }] of folders) {
    const fisher = byFisher ? await readFisher(paths[name]!, name) : null;
    weights.set(name, { ...adapter, fisher });
  }
  return weights;
}

/** What the files of adapters that fit each other say beside numbers; a chat template, or a rounded base, only where all have one. */
function sharedFacts(folders: readonly WeightsFolder[]): {
  readonly facts: Pick<WeightsFolder, "baseName" | "taskType" | "notes">;
  readonly isSameTemplate: boolean;
} {
  const { baseName, taskType } = folders[0]!;
  const told: WeightsFolder["notes"] = Object.assign({}, ...folders.map(({ notes }) => notes).toReversed());
  const isSame = (key: string): boolean => folders.every(({ notes }) => notes[key] === told[key]);
  const unlike = [TEMPLATE_KEY, BASE_KEY].filter((key) => !isSame(key));
  const notes = Object.fromEntries(Object.entries(told).filter(([key]) => !unlike.includes(key)));
  return { facts: { baseName, taskType, notes }, isSameTemplate: isSame(TEMPLATE_KEY) };
}

/** Tells of factors that are mixed although their adapters did not start alike. */
function warnOfStarts(start: StartCosine | null): string[] {
  if (start === null || start.value >= LOW_COSINE) return [];
  const [one, other] = start.names;
  return [
    `The A's of "${one}" and "${other}" have a cosine of ${start.value.toFixed(2)}, but this type needs a common start: ` +
      "train both with one seed and few steps, or choose type cat or svd, which are exact",
  ];
}

/** What tensors are when the methods of these folders are put on a model. */
function startsOn(base: BaseModel, folders: readonly WeightsFolder[]): StartOf {
  let fresh: Promise<readonly Pick<Adapter, "tensor">[]> | null = null;
  return async (name) => {
    const stored = base.model.storedName(name);
    if (base.model.tensors.has(stored)) return await base.values(stored);
    fresh ??= Promise.all(
      folders.map(({ adapter, targets }) => attachTrained(base, { ...adapter, targets })),
    );
    for (const adapter of await fresh) {
      const tensor = adapter.tensor(name);
      if (tensor) return tensor;
    }
    return await base.values(name);
  };
}

/** The trained tensors of a fresh adapter. */
async function attachTrained(base: BaseModel, request: AttachRequest): Promise<Pick<Adapter, "tensor">> {
  const adapter = await attach(base, request, null);
  adapter.release();
  return adapter;
}
