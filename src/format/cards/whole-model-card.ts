/** @file The card of a model folder: trained whole, merged or combined. */
import type { ModelTask } from "../../models/family.ts";
import type { Provenance, ModelCard } from "./model-card.ts";

/** What a card of a model says of it. */
interface WholeModelFacts {
  /** The model that it comes from; null: not known. */
  readonly baseName: string | null;
  /** Null: not known. */
  readonly task: ModelTask | null;
  readonly tags: readonly string[];
  /** Whether transformers reads it, or graft alone: a form of our own. */
  readonly readBy: "transformers" | "graft";
  readonly provenance: Provenance;
}

/** Classes of transformers that load a model. */
const LOADERS: Readonly<Record<ModelTask, string>> = {
  "causal-lm": "AutoModelForCausalLM",
  "sequence-classification": "AutoModelForSequenceClassification",
  "image-classification": "AutoModelForImageClassification",
};

/** Makes the card of a model folder. */
export function wholeModelCard({ baseName, task, tags, readBy, provenance }: WholeModelFacts): ModelCard {
  const loader = task === null ? "AutoModel" : LOADERS[task];
  return {
    title: `Model made from ${baseName ?? "an unknown model"}`,
    baseName,
    library: readBy,
    tags: [...tags, "graft"],
    provenance,
    usage: [
      readBy === "transformers"
        ? "Made with graft: a model folder for graft and for transformers."
        : "Made with graft, and graft alone reads this folder: its matrices are kept as packed codes.",
      "",
      "```sh",
      task === "causal-lm" ? "graft chat --model FOLDER" : "graft eval --model FOLDER --data DATA",
      "```",
      ...(readBy === "transformers" ? ["", ...pythonLines(loader)] : []),
    ],
  };
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
