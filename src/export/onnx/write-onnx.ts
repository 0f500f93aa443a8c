/** @file Writes a model, with whatever adapter sits on it, as the folder of ONNX files that transformers.js reads. */
import type { Checkpoint, TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { describingFiles } from "../../format/checkpoint/model-folder-files.ts";
import { writeFolderAtomic } from "../../format/files/atomic.ts";
import { wholeModelCard } from "../../format/cards/whole-model-card.ts";
import type { Adapter } from "../../peft/attach.ts";
import { NO_ADAPTER } from "../../peft/adapter-view.ts";
import type { Session } from "../../run/session.ts";
import { describeMaking } from "../provenance.ts";
import { onnxFiles } from "./onnx-files.ts";
import { wholeProgram } from "./whole-program.ts";

/** Where transformers.js looks for a model, unless it is told that its numbers are of another type. */
const GRAPH = "onnx/model.onnx";
const READER_SETTINGS = { dtype: "fp32", use_external_data_format: true };

interface OnnxRequest {
  readonly session: Session;
  readonly checkpoint: Checkpoint;
  /** Null: the base alone. */
  readonly adapter: Adapter | null;
  /** Where the adapter was read, whose card says how it was made. */
  readonly adapterPath?: string | undefined;
  /** A new folder. */
  readonly path: string;
  /** Told of the parts that are written, one by one. */
  readonly onPart?: (numDone: number, numParts: number) => void;
}

/** transformers.js looks for the chat template in these settings alone. */
function withTemplate(files: TokenizerFiles | null): TokenizerFiles | null {
  if (files === null || files.chatTemplate === null) return files;
  return { ...files, config: { ...files.config, chat_template: files.chatTemplate } };
}

/**
 * Writes it, whole or not at all, one block at a time. An adapter stays beside the weights, which keep their form.
 * @throws UsageError "usage/model" for a model that such files cannot hold; FailedError failed/write
 */
export async function writeOnnxModel(request: OnnxRequest): Promise<void> {
  const { session, checkpoint, adapter, adapterPath, path, onPart = () => {} } = request;
  const { base, model, compute } = session;
  const program = wholeProgram(session, adapter?.forWriting() ?? NO_ADAPTER);
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
    tags: adapter ? [adapter.method.name] : [],
    readBy: "transformers.js",
    provenance: await describeMaking("graft export", {
      checkpoint,
      adapter,
      adapterPath,
      facts: [["arithmetic of the products", compute.name]],
    }),
  });
  const files = [
    ...onnxFiles(GRAPH, { ...program, tensors }),
    ...describingFiles({
      config: { ...model.checkpoint.ownConfig(checkpoint.config), "transformers.js_config": READER_SETTINGS },
      generationConfig: checkpoint.generationConfig,
      tokenizerFiles: withTemplate(checkpoint.tokenizerFiles),
      card,
    }),
  ];
  await writeFolderAtomic(path, files, { isNew: true });
}
