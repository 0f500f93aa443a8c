/** @file The card of an adapter's folder: which programs read it, and how. */
import { taskOfPeft } from "../../models/model-tasks.ts";
import type { JsonObject } from "../files/json-file.ts";
import { shellWord } from "./escape.ts";
import { type Provenance, type ModelCard, UNKNOWN_PROVENANCE } from "./model-card.ts";

/** What is known of a folder beside its configuration. */
export interface AdapterCardOptions {
  /** PEFT too, unless it is said otherwise. */
  readonly readBy?: "peft" | "graft";
  /** How it was made. */
  readonly provenance?: Provenance;
  /** The storage to which its base was rounded in training; absent or null: it was not rounded. */
  readonly roundedTo?: string | null;
}

/** Makes the card of an adapter from its configuration; PEFT reads the folder too unless it is said otherwise. */
export function adapterCard(
  config: JsonObject,
  { readBy = "peft", provenance = UNKNOWN_PROVENANCE, roundedTo = null }: AdapterCardOptions,
): ModelCard {
  const textOf = (key: string): string | null => {
    const value = config[key];
    return typeof value === "string" && value !== "" ? value : null;
  };
  const baseName = textOf("base_model_name_or_path");
  const type = textOf("peft_type") ?? "unknown";
  return {
    title: `${type} adapter for ${baseName ?? "an unknown model"}`,
    baseName,
    library: readBy,
    tags: [type.toLowerCase(), "graft"],
    provenance,
    usage: [
      readBy === "peft"
        ? "Made with graft. graft and [PEFT](https://github.com/huggingface/peft) read this folder:"
        : "Made with graft, and graft alone reads this folder: PEFT does not have what it says. For other programs, `graft merge` writes the ordinary model that base and adapter make.",
      "",
      "```sh",
      ...graftLines(textOf("task_type"), shellWord(baseName ?? "BASE"), roundedTo),
      "```",
      ...(roundedTo === null
        ? []
        : [
            "",
            `Its base was rounded to ${roundedTo} for training; on the base as it is kept, which is what merging uses too, it computes a little differently.`,
          ]),
      ...(readBy === "peft" ? ["", ...pythonLines(textOf("task_type"), baseName ?? "BASE")] : []),
    ],
  };
}

function graftLines(task: string | null, base: string, roundedTo: string | null): string[] {
  const rounded = roundedTo === null ? "" : ` --base ${roundedTo}`;
  const merge = `graft merge --model ${base} --adapter FOLDER --output merged`;
  if (taskOfPeft(task ?? "")?.writesText)
    return [`graft chat --model ${base}${rounded} --adapter FOLDER`, merge];
  return [`graft eval --model ${base}${rounded} --adapter FOLDER --data DATA`, merge];
}

function pythonLines(task: string | null, base: string): string[] {
  const loader = taskOfPeft(task ?? "")?.loader ?? "AutoModel";
  return [
    "```python",
    "from peft import PeftModel",
    `from transformers import ${loader}`,
    "",
    `base = ${loader}.from_pretrained(${JSON.stringify(base)})`,
    'model = PeftModel.from_pretrained(base, "FOLDER")',
    "```",
  ];
}
