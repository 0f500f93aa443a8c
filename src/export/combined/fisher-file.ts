/**
 * @file Fisher information beside its adapter or model: fisher.safetensors, with the names of the trained tensors. Its header
 * contains a hash of the weights for which it was estimated, since it is meaningless for others.
 */
import { z } from "zod";
import { A_NAME, argument, checkArguments, lazily } from "../../messages/arguments.ts";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { FormatError, UsageError } from "../../errors.ts";
import { openSafetensors } from "../../format/by-path.ts";
import { writeFolderAtomic } from "../../format/files/atomic.ts";
import { describeFileProblem } from "../../messages/system-error.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { readThrough } from "../../format/files/disk/read-through.ts";
import { safetensorsFile } from "../../format/files/safetensors/safetensors-writer.ts";
import type { FisherOf } from "../../peft/algebra/plan.ts";
import type { Parameter } from "../../peft/parameters.ts";
import { widen } from "../../quant/codes/half.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";

/** Name of the file in an adapter's or a model's folder. */
export const FISHER_FILE = "fisher.safetensors";
const HASH_KEY = "weights_sha256";

const ARGUMENTS = lazily(() =>
  z.strictObject({
    folder: A_NAME,
    fisher: argument<ReadonlyMap<Parameter, Float32Array>>(
      "a Map, as estimateFisher() returns it",
      (value) => value instanceof Map,
    ),
  }),
);

/**
 * Writes Fisher information, as `estimateFisher` returns it, into the folder of its adapter or model; returns the file's path.
 * @throws FailedError "failed/write", FormatError "format/file" when there is no such folder
 */
export async function writeFisher(
  folder: string,
  fisher: ReadonlyMap<Parameter, Float32Array>,
): Promise<string> {
  checkArguments("writeFisher", ARGUMENTS, { folder, fisher });
  const tensors = [...fisher].map(([{ name, shape }, values]) => {
    return [name, hostTensor("float32", shape, values)] as const;
  });
  const metadata = { format: "pt", [HASH_KEY]: await hashWeights(folder) };
  await writeFolderAtomic(folder, [safetensorsFile(FISHER_FILE, tensors, metadata)]);
  return join(folder, FISHER_FILE);
}

/**
 * Opens the Fisher information beside an adapter or a model; the returned function reads a tensor.
 * @throws UsageError "usage/combine" when there is none, or it belongs to other weights
 */
export async function readFisher(folder: string, name: string): Promise<FisherOf> {
  const refuse = (found: string): UsageError =>
    new UsageError("usage/combine", `Cannot average "${name}" by Fisher information: ${found}`, {
      hint: `Estimate it on data that "${name}" was trained on: graft fisher --adapter ${folder} --data FILE; --model ${folder} if it is a whole model.`,
    });
  if (!(await listFolder(folder)).includes(FISHER_FILE)) throw refuse(`${folder} contains no ${FISHER_FILE}`);
  const path = join(folder, FISHER_FILE);
  const withFile = async <T>(
    use: (file: Awaited<ReturnType<typeof openSafetensors>>) => Promise<T>,
  ): Promise<T> => {
    const file = await openSafetensors(path);
    return await use(file).finally(() => file.close());
  };
  const read = async (tensor: string): Promise<HostTensor<"float32">> =>
    withFile(async (file) => widen(await file.read(tensor)));
  const [hash, names] = await withFile(async ({ metadata, tensors }) => [
    metadata[HASH_KEY],
    [...tensors.keys()],
  ]);
  if (hash !== (await hashWeights(folder))) throw refuse(`${path} was estimated for other weights`);
  let [squares, count] = [0, 0];
  for (const tensor of names) {
    const { data } = await read(tensor);
    for (const value of data) {
      if (!(value >= 0 && value < Infinity)) {
        throw new FormatError(
          "format/tensor",
          `Cannot use "${path}": ${tensor} contains ${value}, expected 0 or more`,
          { hint: "Estimate it again with graft fisher." },
        );
      }
      squares += value ** 2;
    }
    count += data.length;
  }
  const size = Math.sqrt(squares / count) || 1;
  return async (tensor) => {
    const { shape, data } = await read(tensor);
    return hostTensor(
      "float32",
      shape,
      data.map((value) => value / size),
    );
  };
}

/** @throws FormatError "format/file" for a folder that cannot be listed */
async function listFolder(folder: string): Promise<readonly string[]> {
  try {
    return await disk().readdir(folder);
  } catch (cause) {
    throw new FormatError(
      "format/file",
      `Cannot use Fisher information of "${folder}": ${describeFileProblem(cause)}, expected the folder of an adapter or a model`,
      { hint: "Check the path.", cause },
    );
  }
}

async function hashWeights(folder: string): Promise<string> {
  const files = (await listFolder(folder)).filter((name) => /\.(safetensors|bin)$/.test(name));
  const hash = createHash("sha256");
  for (const name of files.filter((file) => file !== FISHER_FILE).sort()) {
    await readThrough(join(folder, name), (piece) => void hash.update(piece));
  }
  return hash.digest("hex");
}
