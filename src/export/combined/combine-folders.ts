/** @file Combines folders of adapters, after checking them against each other and, if it is given, against the base. */
import { BASE_KEY, TEMPLATE_KEY } from "../../format/adapters/adapter.ts";
import { type WeightsFolder, readAdapterWeights } from "../../format/adapters/adapter-weights.ts";
import { weightsFolderParts } from "../../format/adapters/weights-folder.ts";
import { readAdapter, writeAdapterFolder } from "../../format/by-path.ts";
import { nodeFolder } from "../../format/files/node-folder.ts";
import { numElements } from "../../graph/shape.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { COMBINATIONS, type Combination, type CombineOptions } from "../../peft/algebra/combinations.ts";
import { combineWeights } from "../../peft/algebra/combine.ts";
import { LOW_COSINE, type StartCosine } from "../../peft/algebra/cosine.ts";
import { type Sum, formatExpression } from "../../peft/algebra/expression.ts";
import { refuseFisherOf } from "../../peft/algebra/fisher.ts";
import { type AdapterWeights, type StartOf, algebraOf } from "../../peft/algebra/plan.ts";
import { type Adapter, attach } from "../../peft/attach.ts";
import type { AttachRequest } from "../../peft/layout.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { describeCombination } from "../provenance.ts";
import type { CombinedFolder, FoldersByName, OnBase } from "./combined-folder.ts";
import { combinedTargets } from "./combined-targets.ts";
import { readFisher } from "./fisher-file.ts";
import { refuseInfinite, warnOfLarge } from "./large-numbers.ts";
import { refuseUnlikeFolders } from "./refuse-unlike-adapters.ts";

/** Combines folders of adapters. @throws as `combineAdapters` */
export async function combineFolders(
  { sum, expression }: { readonly sum: Sum; readonly expression: string },
  adapters: FoldersByName,
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
  const parts = weightsFolderParts(adapter, targets, { ...facts, model: base?.model ?? null }, provenance);
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
    write: (path) => writeAdapterFolder(path, parts, { isNew: true }),
  };
}

/** Reads folders by the names of their adapters, and checks them against the base, if it is given. */
async function readFolders(
  adapters: FoldersByName,
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

/** Adapters with the Fisher information of their folders, if the combination uses it. */
async function withFisher(
  folders: ReadonlyMap<string, WeightsFolder>,
  paths: FoldersByName,
  { byFisher }: Combination,
): Promise<Map<string, AdapterWeights>> {
  const weights = new Map<string, AdapterWeights>();
  for (const [name, { adapter }] of folders) {
    // Checked before an estimate is asked for, since there is none for such a method.
    if (byFisher) refuseFisherOf(adapter.method.name, algebraOf(adapter.method));
    const fisher = byFisher ? await readFisher(paths[name]!, name) : null;
    weights.set(name, { ...adapter, fisher });
  }
  return weights;
}

/** What the files of compatible adapters say apart from numbers; a chat template or a rounded base only if all name the same. */
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

/** Warns if factors are mixed although their adapters had different starts. */
function warnOfStarts(start: StartCosine | null): string[] {
  if (start === null || start.value >= LOW_COSINE) return [];
  const [one, other] = start.names;
  return [
    `The A's of "${one}" and "${other}" have a cosine similarity of ${start.value.toFixed(2)}, but this type needs a common start: ` +
      "train both with one seed and few steps, or choose type cat or svd, which are exact",
  ];
}

/** Finds the start values of tensors when the methods of these folders are attached to a model. */
function startsOn(base: BaseModel, folders: readonly WeightsFolder[]): StartOf {
  let fresh: Promise<readonly Pick<Adapter, "tensor">[]> | null = null;
  return async (name) => {
    const stored = base.model.storedName(name);
    if (base.model.tensors.has(stored)) return await base.values(stored);
    fresh ??= Promise.all(
      folders.map(({ adapter: { method, options }, targets }) =>
        attachTrained(base, { method, options, targets }),
      ),
    );
    for (const adapter of await fresh) {
      const tensor = adapter.tensor(name);
      if (tensor) return tensor;
    }
    return await base.values(name);
  };
}

/** Attaches a new adapter, for the start values of its trained tensors. */
async function attachTrained(base: BaseModel, request: AttachRequest): Promise<Pick<Adapter, "tensor">> {
  const adapter = await attach(base, request, null);
  adapter.release();
  return adapter;
}
