/** @file The tensors of a merged model in the form of a GGUF file: its names, its order of numbers, experts in stacks. */
import { UsageError } from "../../errors.ts";
import { stackedShape, stackTensors, TENSOR_CHANGES } from "../../format/checkpoint/gguf/gguf-changes.ts";
import { apartInTurn } from "../../format/checkpoint/alternate-rows.ts";
import { type Form, halved, halvesOf } from "../../format/checkpoint/halves.ts";
import { headForms, splitHeads } from "../../format/checkpoint/key-value-heads.ts";
import { factorsOf, foldingOf, scaleRows } from "../../format/checkpoint/gguf/gguf-factors.ts";
import type { NumHeads } from "../../format/checkpoint/gguf/gguf-row-orders.ts";
import { isEverySecond, isHalf, isOfHeads, toGgufName } from "../../format/checkpoint/gguf/gguf-names.ts";
import { settingOfTensor } from "../../format/checkpoint/gguf/gguf-setting-tensors.ts";
import type { GgufValue } from "../../format/files/gguf/gguf-setting-bytes.ts";
import type { GgufSource } from "../../format/files/gguf/gguf-writer.ts";
import { GGUF_FAMILIES } from "../../models/families.ts";
import type { GgufRules, RowFactors } from "../../models/config/gguf-rules.ts";
import type { Model } from "../../models/model.ts";
import { dequantize, quantizeTo, type StoredTensor } from "../../quant/stored-tensor.ts";
import { writableKind } from "../../quant/storages.ts";
import type { MergedTensor } from "./merged-tensors.ts";

/** Name of the head's matrix in files, which lack it if it is that of the embedding. */
export const HEAD = "output.weight";

/** The error for a model that GGUF files cannot represent. */
export function cannotWrite(modelName: string, found: string, expected: string): UsageError {
  return new UsageError(
    "usage/model",
    `Cannot write model "${modelName}" as GGUF: ${found}, expected ${expected}`,
    { hint: "Write a folder instead." },
  );
}

/** The rules of GGUF files for a model; null: there are none. */
export function ggufRulesOf({ family: { gguf: rules }, settings }: Model): GgufRules | null {
  return rules === "not-in-gguf" ? null : (rules.instead?.(settings) ?? rules);
}

/** @throws UsageError usage/model for a family without GGUF files */
export function rulesOf(modelName: string, model: Model): GgufRules {
  const rules = ggufRulesOf(model);
  if (rules !== null) return rules;
  const known = GGUF_FAMILIES.map(({ modelType }) => modelType).join(", ");
  throw cannotWrite(modelName, `family ${model.modelType}`, `one of ${known}`);
}

/** Numbers of heads, by which rows are reordered. */
export function headsOfModel(model: Model): NumHeads {
  const attention = model.layers.find((layer) => layer.attention !== null)?.attention;
  const rules = ggufRulesOf(model);
  return {
    query: attention?.numHeads ?? 1,
    key: attention?.numKeyValueHeads ?? 1,
    values: rules?.valueHeads?.(model.settings) ?? null,
    groups: rules?.numGroups?.(model.settings) ?? 1,
    keyRows: rules?.keyRows?.(model.settings) ?? 0,
  };
}

/** A tensor of the file. */
export interface MergedSource extends GgufSource {
  /** Whether the adapter may change it. */
  readonly isChanged: boolean;
  /** Whether it equals the base's tensor, in numbers and kind. */
  readonly isOwn: boolean;
}

const isOwn = ({ isChanged, storage, own }: MergedTensor): boolean => !isChanged && storage === own;

/** Whether a file with these tensors has a separate matrix for the head. */
function hasOwnHead(rules: GgufRules, tensors: readonly Pick<MergedTensor, "name">[]): boolean {
  return tensors.some(({ name }) => toGgufName(rules, name)?.ggufName === HEAD);
}

/** A tensor whose rows are multiplied by factors of the configuration in files. */
function withFactors(tensor: MergedTensor, factors: RowFactors): MergedTensor {
  const { shape, load } = tensor;
  const storage = writableKind(tensor.storage);
  return {
    ...tensor,
    storage,
    isChanged: true,
    load: async () => {
      const data = dequantize(await load()).slice();
      scaleRows(data, shape.length === 1 ? 1 : data.length / shape[0]!, factors);
      return quantizeTo(storage, data, shape);
    },
  };
}

/** The tensors that a file stores among its settings, as lists with a number for each block. */
export async function listsOf(
  modelName: string,
  model: Model,
  tensors: readonly MergedTensor[],
): Promise<Record<string, GgufValue & { readonly type: "float32s" }>> {
  const rules = rulesOf(modelName, model);
  const lists: Record<string, number[]> = {};
  for (const { name, load } of tensors) {
    const found = settingOfTensor(rules, name);
    if (found === null) continue;
    const [value = 0] = dequantize(await load());
    (lists[found.setting] ??= [])[found.block] = value;
  }
  return Object.fromEntries(
    Object.entries(lists).map(([key, value]) => [key, { type: "float32s", value } as const]),
  );
}

/** The place of a tensor in a stack. Each expert has `numCuts` tensors in the stack, one below the other. */
type PlaceInStack = Pick<NonNullable<ReturnType<typeof toGgufName>>, "place" | "numCuts">;

/** The tensors of a stack, in stack order. */
interface Stack extends Pick<PlaceInStack, "numCuts"> {
  readonly parts: MergedTensor[];
}

/**
 * Gives tensors their names and numbers of GGUF files. @throws UsageError usage/model for a model that such a file cannot
 * represent
 */
export function toSources(modelName: string, model: Model, tensors: readonly MergedTensor[]): MergedSource[] {
  const rules = rulesOf(modelName, model);
  const heads = headsOfModel(model);
  const sources: MergedSource[] = [];
  const stacks = new Map<string, Stack>();
  const addToStack = (name: string, tensor: MergedTensor, { place, numCuts }: PlaceInStack): void => {
    const stack = stacks.get(name) ?? { parts: [], numCuts };
    stack.parts[place] = tensor;
    stacks.set(name, stack);
  };
  const folding = foldingOf(model, rules, hasOwnHead(rules, tensors));
  for (const given of tensors) {
    if (settingOfTensor(rules, given.name) !== null) continue;
    const found = toGgufName(rules, given.name);
    if (found === null) {
      throw cannotWrite(modelName, `tensor "${given.name}"`, `only tensors of ${model.modelType}`);
    }
    const { ggufName, secondHalf, change } = found;
    const factors = folding && factorsOf(folding.factors, ggufName);
    const tensor = factors ? withFactors(given, factors) : given;
    const { shape, storage, load, isChanged } = tensor;
    if (isHalf(change) || isOfHeads(change)) {
      const names = [ggufName, secondHalf ?? ggufName] as const;
      sources.push(...(isHalf(change) ? halfSources(names, tensor) : headSources(names, tensor, heads)));
    } else if (isEverySecond(change)) {
      addToStack(ggufName, everySecond(tensor, 0), found);
      addToStack(secondHalf ?? ggufName, everySecond(tensor, 1), found);
    } else if (change === null)
      sources.push({ name: ggufName, shape, storage, load, isChanged, isOwn: isOwn(tensor) });
    else if (change === "stacked") addToStack(ggufName, tensor, found);
    else {
      const rule = TENSOR_CHANGES[change];
      const redo = async (): Promise<StoredTensor> => rule.redo(await load(), heads);
      const form = rule.turn({ shape, storage }, heads);
      sources.push({ name: ggufName, ...form, isChanged, isOwn: isOwn(tensor), load: redo });
    }
  }
  return [...sources, ...[...stacks].map(([name, stack]) => stackOf(modelName, name, stack))];
}

/** Splits a joint projection of keys and values into both, by heads. */
function headSources(
  names: readonly [string, string],
  tensor: MergedTensor,
  { query: numHeads, keyRows }: NumHeads,
): MergedSource[] {
  const forms = headForms({ ...tensor, storage: writableKind(tensor.storage) }, numHeads, keyRows);
  return partSources(names, tensor, forms, (stored) => splitHeads(stored, forms));
}

/** Splits a tensor into the halves of its rows. */
function halfSources(names: readonly [string, string], tensor: MergedTensor): MergedSource[] {
  const form = { shape: halved(tensor.shape), storage: tensor.storage };
  return partSources(names, tensor, [form, form], halvesOf);
}

/** Splits a tensor into two; it is loaded once, since both parts are written one after the other. */
function partSources(
  names: readonly [string, string],
  tensor: MergedTensor,
  forms: readonly [Form, Form],
  partsOf: (stored: StoredTensor) => readonly [StoredTensor, StoredTensor],
): MergedSource[] {
  const { load, isChanged } = tensor;
  let loaded: readonly [StoredTensor, StoredTensor] | null = null;
  return names.map((name, half) => ({
    name,
    ...forms[half as 0 | 1],
    isChanged,
    isOwn: isOwn(tensor),
    load: async () => {
      const [first, second] = (loaded ??= partsOf(await load()));
      if (half === 0) return first;
      loaded = null;
      return second;
    },
  }));
}

/** Every second row of a tensor, which is loaded again for the other rows, since both belong to different stacks. */
function everySecond(tensor: MergedTensor, first: 0 | 1): MergedTensor {
  const { shape, load } = tensor;
  return { ...tensor, shape: halved(shape), load: async () => apartInTurn(await load())[first] };
}

function stackOf(modelName: string, name: string, { parts, numCuts }: Stack): MergedSource {
  const { storage, shape } = parts[0]!;
  const other = parts.find((part) => part.storage !== storage);
  if (other) {
    throw cannotWrite(
      modelName,
      `"${other.name}" of type ${other.storage}`,
      `${storage}, like the others of its stack`,
    );
  }
  return {
    name,
    storage,
    shape: stackedShape(parts.length, shape, numCuts),
    isChanged: parts.some(({ isChanged }) => isChanged),
    isOwn: parts.every(isOwn),
    load: async () => {
      const loaded: StoredTensor[] = [];
      for (const { load } of parts) loaded.push(await load());
      return stackTensors(loaded, numCuts);
    },
  };
}
