/** @file Names and stacks tensors as the family's folders have them: the inverse of `rename` and `unstacked`. */
import { UsageError } from "../../errors.ts";
import { DTYPES, type TensorData } from "../../graph/dtype.ts";
import { hasRank, numElements } from "../../graph/shape.ts";
import type { CheckpointRules, FolderStack } from "../../models/config/checkpoint-rules.ts";
import { transposed } from "../../linalg/transposed.ts";
import type { StreamedTensor, TensorSource } from "../files/safetensors/safetensors-writer.ts";

/** A tensor by its name. */
type Named = readonly [name: string, tensor: TensorSource];

/** The parts of a stack, and what they have in common. */
interface Stack extends Pick<FolderStack, "numParts" | "isTurned"> {
  readonly parts: Named[];
}

/** Lists the tensors of a folder. @throws UsageError "usage/model" for experts of several types in one stack */
export function folderTensors(
  { inFolder }: Pick<CheckpointRules, "inFolder">,
  tensors: Iterable<Named>,
): Named[] {
  const whole: Named[] = [];
  const stacks = new Map<string, Stack>();
  for (const named of tensors) {
    const { name, stack: place } = inFolder(named[0]);
    if (place === null) {
      whole.push([name, named[1]]);
      continue;
    }
    const stack = stacks.get(name) ?? { ...place, parts: [] };
    stack.parts[place.index] = named;
    stacks.set(name, stack);
  }
  return [...whole, ...[...stacks].map(([name, stack]): Named => [name, joined(stack)])];
}

/** Joins the parts, with one in memory at a time. @throws UsageError "usage/model" */
function joined({ parts, numParts, isTurned }: Stack): StreamedTensor {
  const [[, { dtype, shape }]] = parts as [Named];
  const other = parts.find(([, part]) => part.dtype !== dtype);
  if (other) {
    throw new UsageError(
      "usage/model",
      `Cannot write "${other[0]}" as ${other[1].dtype}, expected ${dtype}, like the others of its stack`,
      { hint: "Choose one type for all matrices." },
    );
  }
  const [numRows = 1, ...rest] = isTurned ? shape.toReversed() : shape;
  return {
    dtype,
    shape: [parts.length / numParts, numParts * numRows, ...rest],
    stream: async (write) => {
      for (const [, part] of parts) {
        const data = await dataOf(part);
        await write(isTurned && hasRank(shape, 2) ? transposed(data, shape[0], shape[1]) : data);
      }
    },
  };
}

async function dataOf(tensor: TensorSource): Promise<TensorData> {
  if (!("stream" in tensor)) return ("load" in tensor ? await tensor.load() : tensor).data;
  const whole = new DTYPES[tensor.dtype].array(numElements(tensor.shape));
  let at = 0;
  await tensor.stream((piece) => {
    // The cast stands for any element type: `set` between arrays of the same type does not convert.
    (whole as Uint8Array).set(piece as Uint8Array, at);
    at += piece.length;
    return Promise.resolve();
  });
  return whole;
}
