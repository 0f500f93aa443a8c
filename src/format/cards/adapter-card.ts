/** @file The card of an adapter's folder: which programs read it, and how. */
import type { AutoClassesOf } from "../../models/auto-classes.ts";
import { type TaskFacts, noClassFor, taskOfPeft } from "../../models/model-tasks.ts";
import type { JsonObject } from "../files/json-file.ts";
import { shellWord } from "./escape.ts";
import { type Provenance, type ModelCard, UNKNOWN_PROVENANCE } from "./model-card.ts";

/** What is known of a folder besides its configuration. */
export interface AdapterCardOptions {
  /** The program that reads it besides graft, if any; default: peft. */
  readonly readBy?: "peft" | "graft";
  /** Whether it can be merged into its base; default: true. */
  readonly isMergeable?: boolean;
  /** The auto classes that load its model; absent: those of most families. */
  readonly autoClasses?: AutoClassesOf | undefined;
  /** How it was made. */
  readonly provenance?: Provenance;
  /** The storage to which its base was rounded in training; absent or null: it was not rounded. */
  readonly roundedTo?: string | null;
}

/** Makes the card of an adapter from its configuration. */
export function adapterCard(
  config: JsonObject,
  {
    readBy: form = "peft",
    isMergeable = true,
    autoClasses,
    provenance = UNKNOWN_PROVENANCE,
    roundedTo = null,
  }: AdapterCardOptions,
): ModelCard {
  const textOf = (key: string): string | null => {
    const value = config[key];
    return typeof value === "string" && value !== "" ? value : null;
  };
  const baseName = textOf("base_model_name_or_path");
  const type = textOf("peft_type") ?? "unknown";
  const task = taskOfPeft(textOf("task_type") ?? "");
  const usual = task?.loader ?? "AutoModel";
  const { found: loader, written } = autoClasses ?? { found: usual, written: usual };
  const readBy = loader === null ? "graft" : form;
  const why = loader === null && task ? noClassFor(task) : "PEFT does not support its settings";
  const merged = isMergeable
    ? "For other programs, `graft merge` writes base and adapter as an ordinary model."
    : "It cannot be merged into its base.";
  return {
    title: `${type} adapter for ${baseName ?? "an unknown model"}`,
    baseName,
    library: readBy,
    tags: [type.toLowerCase(), "graft"],
    provenance,
    usage: [
      readBy === "peft"
        ? "Made with graft. graft and [PEFT](https://github.com/huggingface/peft) read this folder:"
        : `Made with graft; only graft can read this folder: ${why}.${written === null ? "" : ` ${merged}`}`,
      "",
      "```sh",
      ...graftLines(task, shellWord(baseName ?? "BASE"), { roundedTo, isMergeable }),
      "```",
      ...(roundedTo === null
        ? []
        : [
            "",
            `Its base was quantized to ${roundedTo} for training; on the original base, which merging also uses, its results differ slightly.`,
          ]),
      ...(readBy === "peft" && loader !== null ? ["", ...pythonLines(loader, baseName ?? "BASE")] : []),
    ],
  };
}

function graftLines(
  task: TaskFacts | null,
  base: string,
  { roundedTo, isMergeable }: Required<Pick<AdapterCardOptions, "roundedTo" | "isMergeable">>,
): string[] {
  const rounded = roundedTo === null ? "" : ` --base ${roundedTo}`;
  const model = `--model ${base}${rounded} --adapter FOLDER`;
  return [
    task?.writesText ? `graft chat ${model}` : `graft eval ${model} --data DATA`,
    ...(isMergeable ? [`graft merge --model ${base} --adapter FOLDER --output merged`] : []),
  ];
}

function pythonLines(loader: string, base: string): string[] {
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
