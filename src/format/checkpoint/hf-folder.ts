/** @file Opens Hugging Face model folders: config.json, safetensors, tokenizer files. */
import { FormatError } from "../../errors.ts";
import { dequantizeFrom, hasFiniteScales, type StoredTensor } from "../../quant/stored-tensor.ts";
import { madeOnce } from "../../runtime/made-once.ts";
import { type Folder, readJsonIfPresent } from "../files/folder.ts";
import { requireModelSize } from "../../untrusted/limits.ts";
import { numElements } from "../../graph/shape.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import type { CodesTensor } from "./codes/codes-form.ts";
import { IMAGE_PROCESSOR_FILE } from "../../models/config/image-processor.ts";
import { readConfig } from "./config-file.ts";
import { findForm, formatOf, type FoundForm, quantizationKey, withoutCodes } from "./codes/codes-forms.ts";
import { STORAGE_OF } from "./folder-dtypes.ts";
import { readTokenizerFiles } from "./tokenizer-folder.ts";
import { readCard } from "../cards/read-card.ts";
import { unstacked } from "../files/safetensors/expert-stacks.ts";
import { openSafetensors, type Safetensors } from "../files/safetensors/safetensors.ts";
import { openSafetensorsIndex } from "../files/safetensors/safetensors-index.ts";

async function openWeights(folder: Folder, names: readonly string[]): Promise<Safetensors> {
  if (names.includes("model.safetensors"))
    return await openSafetensors(await folder.open("model.safetensors"));
  const index = "model.safetensors.index.json";
  if (names.includes(index)) return await openSafetensorsIndex(folder, index);
  const single = names.filter((name) => name.endsWith(".safetensors") && !/^(adapter_|fisher\.)/.test(name));
  if (single.length === 1) return await openSafetensors(await folder.open(single[0]!));
  if (single.length > 1) {
    throw new FormatError(
      "format/file",
      `Cannot open model "${folder.path}": ${single.length} weight files, such as ${single[0]}, expected ${index} next to them`,
      { hint: "Download the index too: it maps tensors to files." },
    );
  }
  const pickled = names.find((name) => /^(pytorch_model|model).*\.(bin|bin\.index\.json|pt|pth)$/.test(name));
  throw new FormatError(
    "format/file",
    `Cannot open model "${folder.path}": ${pickled === undefined ? "no weights" : `only ${pickled}`}, expected model.safetensors`,
    {
      hint:
        pickled === undefined
          ? "Check that the download is complete."
          : "Pickle files can run code: convert it with save_pretrained(..., safe_serialization=True) of transformers.",
    },
  );
}

/** Lists the float tensors of the weights. */
function listTensors(weights: Safetensors): Map<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  for (const { name, dtype, shape, sizeBytes } of weights.tensors.values()) {
    const storage = dtype === null ? undefined : STORAGE_OF[dtype];
    if (storage !== undefined) tensors.set(name, { name, shape, storage, sizeBytes });
  }
  return tensors;
}

/** Names of weights, also in codes of GPTQ, AWQ and compressed-tensors. Other tensors of whole numbers are masks or positions. */
const WEIGHT_NAME = /(^|\.)q?weight(_packed)?$/;

/**
 * Refuses unknown float types, and weights in whole numbers without settings that tell how to scale them. `isExplained`: there are
 * such settings. @throws FormatError "format/tensor"
 */
function refuseOthers(
  { path, tensors }: Safetensors,
  known: ReadonlySet<string>,
  isExplained: boolean,
): void {
  const bare = [...tensors.values()].find(
    ({ name, dtype, fileDtype }) =>
      !known.has(name) &&
      ((fileDtype.startsWith("F") && (dtype === null || STORAGE_OF[dtype] === undefined)) ||
        (!isExplained && WEIGHT_NAME.test(name) && /^[IU]\d/.test(fileDtype))),
  );
  if (bare === undefined) return;
  const isFloat = bare.fileDtype.startsWith("F") && !bare.fileDtype.startsWith("F8");
  throw new FormatError(
    "format/tensor",
    `Cannot read tensor "${bare.name}" of "${path}": ${bare.fileDtype}, expected F32, F16 or BF16`,
    {
      hint: isFloat
        ? "Save the model again as float32 or bfloat16."
        : "Low-bit weights need quantization_config in config.json, which describes their scales: download it again, or save the model as bfloat16.",
    },
  );
}

/** Lists matrices in codes, and replaces their parts in `tensors` by them. @throws as `CodesForm.find` */
async function listCodes(
  found: FoundForm | null,
  weights: Safetensors,
  tensors: Map<string, TensorInfo>,
): Promise<ReadonlyMap<string, CodesTensor>> {
  if (found === null) return new Map();
  const { form, settings } = found;
  const codes = await form.find(settings, weights);
  const parts = codes.flatMap((matrix) => matrix.parts);
  const idle = [...tensors.keys()].filter((name) => form.passesOver?.test(name));
  for (const name of [...parts, ...idle]) tensors.delete(name);
  for (const { info } of codes) {
    tensors.set(info.name, info);
    const bias = info.name.replace(/weight$/, "bias");
    const kept = tensors.get(bias);
    // Some tools write a bias for every layer: zeros if the model has none.
    if (kept && (await isZero(weights, kept))) tensors.set(bias, { ...kept, mayBeSurplus: true });
  }
  return new Map(codes.map((tensor) => [tensor.info.name, tensor]));
}

async function isZero(weights: Safetensors, { name, shape }: TensorInfo): Promise<boolean> {
  const values = new Float32Array(numElements(shape));
  await weights.readInto(name, values);
  return values.every((value) => value === 0);
}

const sizeOf = (codes: ReadonlyMap<string, CodesTensor>): number =>
  [...codes.values()].reduce((sum, { info }) => sum + info.sizeBytes, 0);

/** @throws FormatError "format/tensor" for scales that are NaN or infinite */
function requireNumbers(path: string, name: string, stored: StoredTensor): StoredTensor {
  if (hasFiniteScales(stored)) return stored;
  throw new FormatError(
    "format/tensor",
    `Cannot read tensor "${name}" of "${path}": one of its scales is NaN or infinite, expected numbers`,
    { hint: "The file is damaged: download or convert the model again." },
  );
}

/** Opens a model folder with config.json; `names` are its entries. @throws FormatError, UsageError as `findForm` and `CodesForm.find` */
export async function openHfCheckpoint(folder: Folder, names: readonly string[]): Promise<Checkpoint> {
  const { path } = folder;
  const { settings, floats: floatSettings } = await readConfig(folder);
  const found = await findForm(folder, settings);
  // Tensors of an unknown form stay in the list and are refused later.
  const config = withoutCodes(settings, found);
  const generationConfig = await readJsonIfPresent(folder, "generation_config.json");
  const imageProcessor = await readJsonIfPresent(folder, IMAGE_PROCESSOR_FILE);
  const tokenizerFiles = await readTokenizerFiles(folder);
  const { license } = await readCard(folder);
  const stored = await openWeights(folder, names);
  try {
    const weights = unstacked(stored);
    const tensors = listTensors(weights);
    const codes = await listCodes(found, weights, tensors);
    const parts = new Set([...codes.values()].flatMap((matrix) => matrix.parts));
    refuseOthers(weights, parts, found !== null || quantizationKey(settings) !== null);
    const hasCodes = codes.size > 0;
    const held = new Map<string, Promise<StoredTensor>>();
    const isInFile = found?.form.isInFile === true;
    const readCodes = async (name: string, matrix: CodesTensor): Promise<StoredTensor> =>
      requireNumbers(path, name, await matrix.read());
    requireModelSize(config, weights.tensors.size);
    return {
      path,
      format: found && hasCodes ? formatOf(found.form) : "hf",
      ...(found ? { quantization: found.settings } : {}),
      heldBytes: isInFile ? 0 : sizeOf(codes),
      config,
      floatSettings,
      generationConfig,
      imageProcessor,
      tensors,
      tokenizerFiles,
      unusedTokenizerFiles: null,
      license,
      async read(name) {
        const inCodes = codes.get(name);
        if (inCodes) return await (held.get(name) ?? readCodes(name, inCodes));
        const { dtype, shape, data } = await weights.read(name);
        const storage = STORAGE_OF[dtype];
        if (storage !== undefined) return { storage, shape, planes: { data: { dtype, shape, data } } };
        throw new FormatError(
          "format/tensor",
          `Cannot read weight "${name}" of "${path}": ${dtype}, expected a float type`,
          { hint: "The file stores integers under the name of a weight: convert the model again." },
        );
      },
      async readInto(name, into, start = 0) {
        const inCodes = codes.get(name);
        if (!inCodes) return await weights.readInto(name, into, start);
        // The last one is kept, since callers read its rows some at a time.
        if (isInFile && !held.has(name)) held.clear();
        dequantizeFrom(await madeOnce(held, name, () => readCodes(name, inCodes)), start, into);
      },
      view: (name) => (codes.has(name) ? null : weights.view(name)),
      close: () => weights.close(),
    };
  } catch (error) {
    await stored.close();
    throw error;
  }
}
