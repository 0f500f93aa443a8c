/** @file Writes a model, with an adapter if there is one, as a folder of ONNX files for transformers.js. */
import { z } from "zod";
import { A_CHECKPOINT, type Checkpoint, type TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { describingFiles } from "../../format/checkpoint/model-folder-files.ts";
import { writeFolderAtomic } from "../../format/files/atomic.ts";
import type { FolderFile } from "../../format/files/folder-file.ts";
import { wholeModelCard } from "../../format/cards/whole-model-card.ts";
import { A_FUNCTION, A_NAME, checkArguments, lazily } from "../../messages/arguments.ts";
import { opensInTransformersJs } from "../../models/auto-classes.ts";
import { A_BASE, type BaseModel } from "../../models/base/base-model.ts";
import { COMPUTES, UNMEASURED_COMPUTES } from "../../nn/computes.ts";
import { NO_ADAPTER } from "../../peft/adapter-view.ts";
import { type Adapter, AN_ADAPTER } from "../../peft/attach.ts";
import { requireOwnBase } from "../../peft/own-base.ts";
import { Session } from "../../run/session.ts";
import { AN_ENGINE, type Engine } from "../../runtime/engine.ts";
import { describeMaking } from "../provenance.ts";
import { onnxFiles } from "./onnx-files.ts";
import { wholeProgram } from "./whole-program.ts";

/**
 * The types in which float matrices are written, with transformers.js's name for each and the place where it looks for the model.
 */
const KEPT = {
  f32: { kept: "float32", name: "fp32", graph: "onnx/model.onnx" },
  f16: { kept: "float16", name: "fp16", graph: "onnx/model_fp16.onnx" },
} as const;

export const ONNX_DTYPES = ["f32", "f16"] as const satisfies readonly (keyof typeof KEPT)[];

/** Which model to write, and where. */
export interface OnnxRequest {
  readonly engine: Engine;
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
  /** null: the base alone. */
  readonly adapter: Adapter | null;
  /** Folder of the adapter, whose card says how it was made. */
  readonly adapterPath?: string | undefined;
  /** A new folder. */
  readonly path: string;
  /** Arithmetic of the products in the blocks; "f32" unless given. */
  readonly compute?: (typeof UNMEASURED_COMPUTES)[number];
  /** Type of the float matrices, "f32" unless given; products are computed in float32. */
  readonly dtype?: (typeof ONNX_DTYPES)[number];
  /** Called after each written part; if it throws, nothing is written. */
  readonly onPart?: (numDone: number, numParts: number) => void;
}

const ARGUMENTS = lazily(() =>
  z.strictObject({
    request: z.strictObject({
      engine: AN_ENGINE,
      base: A_BASE,
      checkpoint: A_CHECKPOINT,
      adapter: AN_ADAPTER.nullable(),
      adapterPath: A_NAME.optional(),
      path: A_NAME,
      compute: z.enum(UNMEASURED_COMPUTES).optional(),
      dtype: z.enum(ONNX_DTYPES).optional(),
      onPart: A_FUNCTION.optional(),
    }),
  }),
);

/** transformers.js looks for the chat template only in these settings. */
function withTemplate(files: TokenizerFiles | null): TokenizerFiles | null {
  if (files === null || files.chatTemplate === null) return files;
  return { ...files, config: { ...files.config, chat_template: files.chatTemplate } };
}

/**
 * Writes a model with its adapter as ONNX, whole or not at all, one block at a time. The adapter is not merged, so the weights
 * keep their form.
 * @throws UsageError "usage/model" for a model that such files cannot represent, "usage/output" for a folder that contains files;
 * "usage/scale" for a number that its type cannot represent; FailedError failed/write
 */
export async function writeOnnxModel(request: OnnxRequest): Promise<void> {
  checkArguments("writeOnnxModel", ARGUMENTS, { request });
  const { engine, base, adapter, compute = "f32" } = request;
  await requireOwnBase(base, [adapter]);
  const session = new Session(engine, base, "stored", { compute: COMPUTES[compute] });
  try {
    await writeFolderAtomic(request.path, await filesOf(session, request), { isNew: true });
  } finally {
    await session.release();
  }
}

async function filesOf(
  session: Session,
  { base, checkpoint, adapter, adapterPath, dtype = "f32", onPart = () => {} }: OnnxRequest,
): Promise<FolderFile[]> {
  const { model, compute } = session;
  const { kept, name, graph } = KEPT[dtype];
  const program = wholeProgram(session, adapter?.forWriting() ?? NO_ADAPTER, kept);
  let numDone = 0;
  const tensors = program.tensors.map((group): (typeof program.tensors)[number] => ({
    ...group,
    lend: async (use) => {
      await group.lend(use);
      onPart(++numDone, program.tensors.length);
    },
  }));
  const card = wholeModelCard({
    baseName: base.name,
    task: model.task,
    loader: null,
    tags: adapter ? [adapter.method.name] : [],
    readBy: opensInTransformersJs(model) ? "transformers.js" : "onnx",
    provenance: await describeMaking("graft export", {
      checkpoint,
      adapter,
      adapterPath,
      facts: [["arithmetic of the products", compute.name]],
    }),
  });
  return [
    ...onnxFiles(graph, { ...program, tensors }),
    ...describingFiles({
      config: {
        ...model.checkpoint.ownConfig(checkpoint.config),
        "transformers.js_config": { dtype: name, use_external_data_format: true },
      },
      floatSettings: checkpoint.floatSettings,
      // transformers.js does not open a model that writes text without a generation configuration.
      generationConfig: checkpoint.generationConfig ?? (model.hasVocabularyHead ? {} : null),
      imageProcessor: model.imageProcessor,
      tokenizerFiles: withTemplate(checkpoint.tokenizerFiles),
      card,
    }),
  ];
}
