/** @file The commands with which a user goes on from a result, written so that they can be pasted into a shell. */
import { shellWords } from "../../messages/shell-words.ts";
import type { DoneEvent, StartEvent } from "../events.ts";
import type { TrainInput } from "../settings/options.ts";

/** Writes the command that tries what was trained. */
export function nextCommand(start: NextStart, done: NextDone, { data, evalData }: NextData): string {
  const trained =
    done.result === "model" ? ["--model", done.output] : ["--model", start.model, "--adapter", done.output];
  if (start.task !== "causal-lm") return graft("eval", ...trained, "--data", firstFile(evalData ?? data));
  return start.chat_template
    ? graft("chat", ...trained)
    : graft("generate", ...trained, "--prompt", "Once upon a time");
}

type NextStart = Pick<StartEvent, "model" | "task" | "chat_template">;
type NextDone = Pick<DoneEvent, "output" | "result">;
type NextData = Pick<TrainInput, "data" | "evalData">;

/** Writes the command by which a run goes on; `configFile`: its settings. */
export function resumeCommand(configFile: string): string {
  return graft("train", "--config", configFile, "--resume");
}

/** Writes the command that makes a model of its own of the result. */
export function mergeCommand(start: NextStart, { output }: NextDone): string {
  return graft("merge", "--model", start.model, "--adapter", output, "--output", `${output}-merged`);
}

function firstFile(data: unknown): string {
  return [data].flat().find((name) => typeof name === "string") ?? "";
}

function graft(...words: readonly string[]): string {
  return shellWords(["npx", "graft", ...words]);
}
