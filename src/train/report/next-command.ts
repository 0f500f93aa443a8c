/** @file Commands for continuing from a result, ready to paste into a shell. */
import { MODEL_TASKS } from "../../models/model-tasks.ts";
import { readWeightedName } from "../../data/weighted-name.ts";
import { shellWords } from "../../messages/shell-words.ts";
import type { DoneEvent, StartEvent } from "../events.ts";
import type { LooseTrainInput } from "../settings/options.ts";

/** Writes the command that tries the result on the task it was trained for; `exists` tells whether a path containing "=" is a file. */
export function nextCommand(
  start: NextStart,
  done: NextDone,
  options: NextOptions,
  exists: (path: string) => boolean,
): string {
  const { data, evalData, columns, chatTemplate, base } = options;
  // A whole model is written together with its template.
  const [trained, template] =
    done.result === "model"
      ? [["--model", done.output], []]
      : [
          ["--model", start.model, ...flag("--base", base), "--adapter", done.output],
          flag("--chat-template", chatTemplate),
        ];
  if (!MODEL_TASKS[start.task].writesText)
    return graft(
      "eval",
      ...trained,
      "--data",
      firstFile(evalData ?? data, exists),
      ...flag("--columns", columns),
    );
  return start.chat_template
    ? graft("chat", ...trained, ...template)
    : graft("generate", ...trained, "--prompt", "Once upon a time");
}

type NextStart = Pick<StartEvent, "model" | "task" | "chat_template">;
type NextDone = Pick<DoneEvent, "output" | "result">;
type NextOptions = Pick<LooseTrainInput, "data" | "evalData" | "columns" | "chatTemplate" | "base">;

/** Writes the command that resumes a run; `configFile`: its settings. */
export function resumeCommand(configFile: string): string {
  return graft("train", "--config", configFile, "--resume");
}

/** Writes the command that merges the result into a model of its own. */
export function mergeCommand(start: NextStart, { output }: NextDone): string {
  return graft("merge", "--model", start.model, "--adapter", output, "--output", `${output}-merged`);
}

function flag(name: string, value: LooseTrainInput["columns"]): string[] {
  if (value === undefined) return [];
  return [name, typeof value === "string" ? value : JSON.stringify(value)];
}

/** The first data file, without its weight. */
function firstFile(data: unknown, exists: (path: string) => boolean): string {
  const name = [data].flat().find((name) => typeof name === "string");
  return name === undefined ? "" : readWeightedName(name, exists).path;
}

function graft(...words: readonly string[]): string {
  return shellWords(["npx", "graft", ...words]);
}
