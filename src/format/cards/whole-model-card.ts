/** @file The card of a model folder: trained whole, merged or combined. */
import { MODEL_TASKS, type ModelTask } from "../../models/model-tasks.ts";
import type { Provenance, ModelCard } from "./model-card.ts";

/** What a card of a model says of it. */
interface WholeModelFacts {
  /** The model that it comes from; null: not known. */
  readonly baseName: string | null;
  /** Null: not known. */
  readonly task: ModelTask | null;
  readonly tags: readonly string[];
  /** The program that reads it; graft alone: a form of our own. */
  readonly readBy: "transformers" | "transformers.js" | "graft";
  readonly provenance: Provenance;
}

/** Makes the card of a model folder. */
export function wholeModelCard({ baseName, task, tags, readBy, provenance }: WholeModelFacts): ModelCard {
  return {
    title: `Model made from ${baseName ?? "an unknown model"}`,
    baseName,
    library: readBy,
    tags: [...tags, "graft"],
    provenance,
    usage: USAGE[readBy](task),
  };
}

/** How a folder is read, by the program that reads it. */
const USAGE: Readonly<Record<WholeModelFacts["readBy"], (task: ModelTask | null) => string[]>> = {
  transformers: (task) => [
    "Made with graft: a model folder for graft and for transformers.",
    "",
    ...shellLines(task),
    "",
    ...pythonLines(task === null ? "AutoModel" : MODEL_TASKS[task].loader),
  ],
  "transformers.js": (task) => [
    "Made with graft: ONNX files for transformers.js and ONNX Runtime.",
    "",
    "```js",
    ...(writesText(task) ? GENERATOR_LINES : CLASSIFIER_LINES),
    "```",
  ],
  graft: (task) => [
    "Made with graft, and graft alone reads this folder: its matrices are kept as packed codes.",
    "",
    ...shellLines(task),
  ],
};

const GENERATOR_LINES = [
  'import { pipeline } from "@huggingface/transformers";',
  "",
  'const generator = await pipeline("text-generation", "FOLDER");',
];

/** Its `pipeline` knows the classes of encoders alone. */
const CLASSIFIER_LINES = [
  'import { AutoModel, AutoTokenizer, TextClassificationPipeline } from "@huggingface/transformers";',
  "",
  'const model = await AutoModel.from_pretrained("FOLDER");',
  'const tokenizer = await AutoTokenizer.from_pretrained("FOLDER");',
  'const classifier = new TextClassificationPipeline({ task: "text-classification", model, tokenizer });',
];

function writesText(task: ModelTask | null): boolean {
  return task !== null && MODEL_TASKS[task].writesText;
}

function shellLines(task: ModelTask | null): string[] {
  const command = writesText(task) ? "graft chat --model FOLDER" : "graft eval --model FOLDER --data DATA";
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
