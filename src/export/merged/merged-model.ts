/**
 * @file Merges an adapter into its base and writes the result as an ordinary model: a Hugging Face folder or a GGUF file.
 *
 * In the base's own format every tensor keeps its kind, and tensors that the adapter does not change keep their bytes.
 */
import { basename } from "node:path";
import { writeModel } from "../../format/by-path.ts";
import { wholeModelCard } from "../../format/cards/whole-model-card.ts";
import { folderDtype } from "../../format/checkpoint/folder-dtypes.ts";
import { folderTensors } from "../../format/checkpoint/folder-tensors.ts";
import type { TensorSource } from "../../format/files/safetensors/safetensors-writer.ts";
import { autoClassesOf } from "../../models/auto-classes.ts";
import type { Adapter } from "../../peft/attach.ts";
import { Merger } from "../../peft/merge.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { describeMaking } from "../provenance.ts";
import { planCodes } from "./merged-codes.ts";
import { writeGgufOfFolder, writeGgufOfGguf } from "./merged-gguf.ts";
import { type KindRequest, type Substitute, chooserOf, listSubstitutes, mainKind } from "./merged-kinds.ts";
import { type MergedTensor, mergedTensors } from "./merged-tensors.ts";
import { type Rounding, RoundingTally } from "./rounding-tally.ts";

export interface MergeRequest extends KindRequest {
  readonly engine: Engine;
  readonly adapter: Adapter;
  /** A folder, or a file for "gguf". */
  readonly path: string;
  /** Folder of the adapter, whose card says how it was made. */
  readonly adapterPath?: string;
  /** Called after each written tensor. */
  readonly onTensor?: (numDone: number, numTensors: number) => void;
}

/** What was written. */
export interface MergeReport {
  /** Tensors that the adapter changes. */
  readonly numChanged: number;
  readonly substitutes: readonly Substitute[];
  readonly rounding: Rounding;
}

/**
 * Merges an adapter into its base and writes the result, whole or not at all, one tensor at a time.
 * @throws UsageError "usage/adapter" when the method's result is not a change of weights or no numbers, "usage/scale" when
 * numbers do not fit the type, "usage/model" for a model that GGUF files cannot hold; FailedError failed/write.
 */
export async function writeMergedModel(request: MergeRequest): Promise<MergeReport> {
  const { engine, base, checkpoint, adapter, path, to, kind, onTensor = () => {} } = request;
  const merger = new Merger(engine, base, adapter);
  const tally = new RoundingTally();
  try {
    const parts = { base, adapter, merger, storageFor: chooserOf(request) };
    const tensors = mergedTensors(parts, tally);
    const numChanged = tensors.filter(({ isChanged }) => isChanged).length;
    let numDone = 0;
    const reporting = tensors.map((tensor): MergedTensor => {
      if (!tensor.isChanged) return tensor;
      const load = async (): Promise<StoredTensor> => {
        const stored = await tensor.load();
        onTensor(++numDone, numChanged);
        return stored;
      };
      return { ...tensor, load };
    });
    if (to !== "gguf") await writeFolder(request, reporting);
    else {
      const model = {
        name: basename(base.name),
        model: base.model,
        checkpoint,
        kind: mainKind(request, tensors),
      };
      await (checkpoint.format === "gguf" ? writeGgufOfGguf : writeGgufOfFolder)(path, model, reporting);
    }
    const substitutes = kind === null && to === checkpoint.format ? listSubstitutes(tensors) : [];
    return { numChanged, substitutes, rounding: tally.report() };
  } finally {
    await merger.release();
  }
}

/** Writes a model folder, with unchanged files of the tokenizer. */
async function writeFolder(request: MergeRequest, tensors: readonly MergedTensor[]): Promise<void> {
  const { path, base, checkpoint, kind } = request;
  const { config, floatSettings, generationConfig, tokenizerFiles } = checkpoint;
  const dtype = kind === null ? null : folderDtype(kind);
  const isUntied = base.model.ties.size > 0 && tensors.some(({ role }) => role === "head");
  const { settings, codes, readBy } = planCodes(request, tensors);
  const floats = tensors.filter(({ groupSize }) => groupSize === null);
  const card = wholeModelCard({
    baseName: base.name,
    task: base.model.task,
    loader: autoClassesOf(base.model).written,
    tags: [request.adapter.method.name, "merge"],
    readBy,
    provenance: await describeMaking("graft merge", {
      ...request,
      facts: [["type of the matrices", kind ?? "as in the base"]],
    }),
  });
  const rules = base.model.checkpoint;
  const ownConfig = rules.ownConfig(config);
  const parts = {
    card,
    config: {
      ...(isUntied ? rules.untiedConfig(ownConfig) : ownConfig),
      ...(dtype === null ? {} : { dtype, torch_dtype: dtype }),
      ...(settings === null ? {} : { quantization_config: settings }),
    },
    floatSettings,
    generationConfig,
    imageProcessor: base.model.imageProcessor,
    tokenizerFiles,
    tensors: [
      ...codes,
      ...folderTensors(
        base.model.checkpoint,
        floats.map(({ name, shape, storage, load }): readonly [string, TensorSource] => [
          name,
          {
            dtype: folderDtype(storage)!,
            shape,
            load: async () => (await load()).planes["data"] as HostTensor,
          },
        ]),
      ),
    ],
  };
  await writeModel(path, parts, { isNew: true });
}
