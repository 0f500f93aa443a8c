/**
 * @file Loads a base model: finds its family, compares the file's tensors with those that the family needs, reads them.
 *
 * Nothing is read before the list of tensors was found correct; errors name missing, surplus and misshaped ones.
 */
import { z } from "zod";
import { numElements, sameShape, showShape } from "../../graph/shape.ts";
import { FormatError } from "../../errors.ts";
import { classOf, hasForeignHead } from "../../models/config/classifier-config.ts";
import { openModel } from "../../models/families.ts";
import { FAMILY_LIST, type Family } from "../../models/family.ts";
import { MODEL_TASKS } from "../../models/model-tasks.ts";
import type { Model } from "../../models/model.ts";
import { BaseModel, type WeightSource } from "../../models/base/base-model.ts";
import { watchNumbers } from "../../models/base/watch-numbers.ts";
import { listFirst } from "../../messages/problems.ts";
import { A_NAME, A_TEXT, checkArguments, lazily } from "../../messages/arguments.ts";
import { fromMlx } from "./mlx-folder.ts";
import { A_CHECKPOINT, type Checkpoint, type TensorInfo, withTensorNames } from "./checkpoint.ts";

/** Most names that a message lists. */
const MAX_LISTED = 5;

/** How weights are loaded. */
export interface LoadOptions {
  /** Name for adapter files; default: the path. */
  readonly name?: string;
  /** The families that the model may belong to; default: all that graft knows. A family outside graft can be given here. */
  readonly families?: readonly Family[] | undefined;
}

const ARGUMENTS = lazily(() =>
  z.strictObject({
    path: A_TEXT,
    checkpoint: A_CHECKPOINT,
    options: z.strictObject({ name: A_NAME.optional(), families: FAMILY_LIST.optional() }),
  }),
);

/**
 * Reads the weights of an open checkpoint. `path`: the path to show in messages.
 * @throws FormatError "format/tensor" when tensors do not fit the configuration; UsageError "usage/model".
 */
export async function loadWeights(
  path: string,
  checkpoint: Checkpoint,
  options: LoadOptions = {},
): Promise<BaseModel> {
  checkArguments("loadWeights", ARGUMENTS, { path, checkpoint, options });
  const model = openModel(checkpoint.config, options.families, checkpoint.imageProcessor);
  const renamed = fromMlx(renameTensors(path, checkpoint, model), model.checkpoint.mlx);
  checkTensors(path, model, renamed.tensors);
  await requireEqualTies(path, model, renamed);
  const source = watchNumbers(path, openSource(renamed), (note) => base.addNote(note));
  const base = new BaseModel(options.name ?? path, model, source, checkpoint);
  // A model without a matrix of logits is refused above; one that has it may still have been trained for another task.
  if (hasForeignHead(checkpoint.config))
    base.addNote(
      `Model "${path}" is a ${classOf(checkpoint.config)} by its config.json, a kind that graft does not know: it is treated as a model for ${MODEL_TASKS[model.task].words}`,
    );
  return base;
}

/** Gives tensors the names that the family gives them. @throws FormatError "format/tensor" for one that occurs twice */
function renameTensors(path: string, checkpoint: Checkpoint, { checkpoint: rules, ties }: Model): Checkpoint {
  const fileNames = new Map<string, string>();
  const tensors = new Map<string, TensorInfo>();
  for (const [fileName, info] of checkpoint.tensors) {
    if (rules.ignored.test(fileName)) continue;
    const name = rules.rename(fileName);
    const other = fileNames.get(name);
    if (other !== undefined) {
      throw new FormatError(
        "format/tensor",
        `Cannot load model "${path}": "${other}" and "${fileName}" are the same tensor, expected one of them`,
        { hint: "Save the model again, with each tensor once." },
      );
    }
    fileNames.set(name, fileName);
    tensors.set(name, { ...info, name });
  }
  // Of two tied tensors, files may hold either one.
  for (const [name, own] of ties) {
    const info = tensors.get(name);
    if (info === undefined || tensors.has(own)) continue;
    tensors.set(own, { ...info, name: own });
    tensors.delete(name);
    fileNames.set(own, fileNames.get(name) ?? name);
  }
  return withTensorNames(checkpoint, tensors, fileNames);
}

/** The weights of a checkpoint, under the checkpoint's names. */
function openSource(checkpoint: Checkpoint): WeightSource {
  return {
    ...keptIn(checkpoint),
    operands: checkpoint.operands,
    stored: (name, memory) => checkpoint.read(name, memory),
    readInto: (name, into, start) => checkpoint.readInto(name, into, start),
    view: (name) => checkpoint.view(name),
  };
}

/** How a checkpoint keeps each of its tensors. */
export function keptIn({ tensors }: Checkpoint): Pick<WeightSource, "storageOf" | "groupSizeOf"> {
  return {
    storageOf: (name) => tensors.get(name)?.storage ?? "f32",
    groupSizeOf: (name) => tensors.get(name)?.groupSize ?? null,
  };
}

function checkTensors(path: string, model: Model, found: ReadonlyMap<string, TensorInfo>): void {
  const names = [...model.tensors.keys()];
  const missing = names.filter((name) => !found.has(name));
  const surplus = [...found].flatMap(([name, { mayBeSurplus = false }]) =>
    model.tensors.has(name) || model.ties.has(name) || mayBeSurplus ? [] : [name],
  );
  const misshaped = [...model.tensors.values()].flatMap(({ name, shape }) => {
    const info = found.get(name);
    if (!info || sameShape(info.shape, shape)) return [];
    return [`${name} is ${showShape(info.shape)}, expected ${showShape(shape)}`];
  });
  // A tied tensor that is stored twice is used once, but both must be equal.
  for (const [name, own] of model.ties) {
    const [given, shape] = [found.get(name)?.shape, model.tensors.get(own)?.shape];
    if (given && shape && !sameShape(given, shape))
      misshaped.push(`${name} is ${showShape(given)}, expected ${showShape(shape)}, that of ${own}`);
  }
  const problems = [
    ...(missing.length > 0 ? [`missing ${listFirst(missing, MAX_LISTED)}`] : []),
    ...(surplus.length > 0 ? [`surplus ${listFirst(surplus, MAX_LISTED)}`] : []),
    ...(misshaped.length > 0 ? [listFirst(misshaped, MAX_LISTED)] : []),
  ];
  if (problems.length === 0) return;
  throw new FormatError("format/tensor", `Cannot load model "${path}": ${problems.join("; ")}`, {
    hint:
      model.classPosition !== null &&
      missing.some((name) => model.wholeHead.tensors.some((own) => own.name === name))
        ? "The model has no head for its classes: give a model without ForSequenceClassification in config.json, and a new head with --classes or --num-classes."
        : "The tensors do not match config.json: download the model again, or fix the configuration.",
  });
}

/** Values that are compared at a time. */
const COMPARED_LENGTH = 1 << 20;

/**
 * Requires that tied tensors are equal if a file holds both: otherwise programs use them differently; transformers 4 takes the
 * embedding, 5 both. @throws FormatError "format/tensor"
 */
async function requireEqualTies(path: string, model: Model, checkpoint: Checkpoint): Promise<void> {
  const source = openSource(checkpoint);
  for (const [name, own] of model.ties) {
    const shape = checkpoint.tensors.get(name)?.shape;
    if (shape === undefined) continue;
    const length = numElements(shape);
    const size = Math.min(COMPARED_LENGTH, length);
    const [ofHead, ofTable] = [new Float32Array(size), new Float32Array(size)];
    for (let start = 0; start < length; start += COMPARED_LENGTH) {
      const [a, b] = [ofHead.subarray(0, length - start), ofTable.subarray(0, length - start)];
      await source.readInto(name, a, start);
      await source.readInto(own, b, start);
      if (haveEqualBits(a, b)) continue;
      throw new FormatError(
        "format/tensor",
        `Cannot load model "${path}": ${name} and ${own} differ, expected one matrix, as config.json ties them (tie_word_embeddings)`,
        {
          hint: `If the head is a separate matrix, set it to false there; otherwise delete ${name} from the file.`,
        },
      );
    }
  }
}

function haveEqualBits(one: Float32Array, other: Float32Array): boolean {
  const bitsOf = ({ buffer, byteOffset, length }: Float32Array): Int32Array =>
    new Int32Array(buffer, byteOffset, length);
  const [a, b] = [bitsOf(one), bitsOf(other)];
  // A plain loop, for speed: there may be hundreds of millions.
  for (let i = 0; i < one.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
