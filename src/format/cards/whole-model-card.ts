/** @file The card of a model folder: trained whole, merged or combined. */
import { MODEL_TASKS, type ModelTask, noClassFor } from "../../models/model-tasks.ts";
import type { Provenance, ModelCard } from "./model-card.ts";

/** What the card of a model tells. */
interface WholeModelFacts {
  /** The model that it comes from; null: not known. */
  readonly baseName: string | null;
  readonly task: ModelTask;
  /** The auto class of transformers that loads it; null: there is none, so that only graft reads a folder for transformers. */
  readonly loader: string | null;
  readonly tags: readonly string[];
  /** The program for which it is written; "graft": graft's own form; "onnx": a form only for ONNX Runtime. */
  readonly readBy: "transformers" | "transformers.js" | "onnx" | "graft";
  readonly provenance: Provenance;
}

/** Makes the card of a model folder. */
export function wholeModelCard(facts: WholeModelFacts): ModelCard {
  const { baseName, task, loader, tags, readBy, provenance } = facts;
  return {
    title: `Model made from ${baseName ?? "an unknown model"}`,
    baseName,
    library: readBy === "transformers" && loader === null ? "graft" : readBy,
    tags: [...tags, "graft"],
    provenance,
    usage: USAGE[readBy](task, loader),
  };
}

/** How a folder is read, by the program that reads it. */
const USAGE: Readonly<
  Record<WholeModelFacts["readBy"], (task: ModelTask, loader: string | null) => string[]>
> = {
  transformers: (task, loader) => [
    loader === null
      ? `Made with graft; only graft can read this folder: ${noClassFor(MODEL_TASKS[task])}.`
      : "Made with graft: a model folder for graft and for transformers.",
    "",
    ...shellLines(task),
    ...(loader === null ? [] : ["", ...pythonLines(loader)]),
  ],
  "transformers.js": (task) => [
    "Made with graft: ONNX files for transformers.js and ONNX Runtime.",
    "",
    "```js",
    ...(MODEL_TASKS[task].writesText ? GENERATOR_LINES : CLASSIFIER_LINES),
    "```",
  ],
  onnx: () => [
    "Made with graft: ONNX files for ONNX Runtime, with inputs and outputs as transformers.js has them. transformers.js itself does not support this family.",
  ],
  graft: (task) => [
    "Made with graft; only graft can read this folder: its matrices are stored as packed codes.",
    "",
    ...shellLines(task),
  ],
};

const GENERATOR_LINES = [
  'import { pipeline } from "@huggingface/transformers";',
  "",
  'const generator = await pipeline("text-generation", "FOLDER");',
];

/** transformers.js's `pipeline` only has the classes of encoders, so that the classifier is built by hand. */
const CLASSIFIER_LINES = [
  'import { AutoModel, AutoTokenizer, TextClassificationPipeline } from "@huggingface/transformers";',
  "",
  'const model = await AutoModel.from_pretrained("FOLDER");',
  'const tokenizer = await AutoTokenizer.from_pretrained("FOLDER");',
  'const classifier = new TextClassificationPipeline({ task: "text-classification", model, tokenizer });',
];

function shellLines(task: ModelTask): string[] {
  const command = MODEL_TASKS[task].writesText
    ? "graft chat --model FOLDER"
    : "graft eval --model FOLDER --data DATA";
  return ["```sh", command, "```"];
}

function pythonLines(loader: string): string[] {
  return [
    "```python",
    `from transformers import ${loader}`,
    "",
    `model = ${loader}.from_pretrained("FOLDER")`,
    "```",
  ];
}
