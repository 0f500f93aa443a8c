/** @file Lines that `graft train` prints at the start of a run, when it is resumed, and at its end. */
import { MODEL_TASKS } from "../../models/model-tasks.ts";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { EVAL_METRICS, LOSS } from "../../train/eval-metrics.ts";
import type { DoneEvent, EvalEvent, ResumeEvent, StartEvent } from "../../train/events.ts";
import { RUN_FILES } from "../../train/files/folder/run-files.ts";
import {
  formatCount,
  formatCountOf,
  formatDuration,
  formatFixed,
  formatLoss,
  formatPercent,
} from "../../messages/numbers.ts";

const LABEL_WIDTH = 10;

function row(label: string, text: string): string {
  return label.padEnd(LABEL_WIDTH) + text;
}

/** Describes a run at its start. */
export function startLines(start: StartEvent): string[] {
  return [
    row("Model", `${start.model}, ${formatCountOf(start.parameters, "parameter")}`),
    row(
      "Method",
      `${start.method}, ${formatCountOf(start.trainable_parameters, "trainable parameter")} (${formatPercent(start.trainable_share)})`,
    ),
    row("Data", describeData(start)),
    ...(start.held_out_examples === null
      ? []
      : [row("Held out", formatCountOf(start.held_out_examples, "example"))]),
    row("Steps", `${formatCount(start.total_steps)}, ${formatCount(start.steps_per_epoch)} per epoch`),
  ];
}

function describeData(start: StartEvent): string {
  const { task, truncated_examples: numCut, dropped_examples: numDropped } = start;
  const examples = formatCountOf(start.examples, "example");
  if (task === "image-classification") return examples;
  const trained = MODEL_TASKS[task].writesText ? ` (${formatCount(start.trained_tokens)} trained)` : "";
  const limit = formatCountOf(start.max_length, "token");
  return [
    `${examples}, ${formatCountOf(start.tokens, "token")}${trained}`,
    numCut === 0 ? `none truncated at ${limit}` : `${formatCount(numCut)} truncated at ${limit}`,
    ...(numDropped === 0
      ? []
      : [`${formatCount(numDropped)} more skipped: nothing to train on within ${limit}`]),
  ].join("; ");
}

/** Describes where a run is resumed. */
export function resumeLines({ checkpoint, step, total_steps: total, notes }: ResumeEvent): string[] {
  const at = `${checkpoint}, step ${formatCount(step)} of ${formatCount(total)}`;
  return [row("Resume", at), ...notes.map((note) => row("", note))];
}

/** Describes the result of an evaluation: the loss, and the other metrics that can select the best checkpoint. */
export function evaluationLine(event: EvalEvent): string {
  const { step, loss } = event;
  const numbers: Readonly<Record<string, unknown>> = { ...event };
  const others = EVAL_METRICS.flatMap(({ name, key, isShare }) => {
    const value = numbers[key];
    if (name === LOSS.name || typeof value !== "number") return [];
    return `${name} ${isShare ? formatPercent(value, 4) : formatFixed(value, 2)}`;
  });
  const when = step === 0 ? "before training" : `after step ${step}`;
  const told = others.length === 0 ? "" : ` (${others.join(", ")})`;
  return `held-out loss ${when}: ${formatLoss(loss)}${told}`;
}

/** Shows a text that was generated during the run. */
export function sampleLines(prompt: string, text: string): string[] {
  return [`sample: ${oneLine(prompt)}`, `     -> ${oneLine(text)}`];
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}

/** Describes the result of a run, and what to do next. */
export function doneLines(done: DoneEvent, next: string): string[] {
  const {
    output,
    result,
    steps,
    result_step: step,
    held_out_loss_before: before,
    held_out_loss: after,
  } = done;
  const { first_loss: first, last_loss: last } = done;
  const page = join(output, RUN_FILES.report);
  const chosen = step === steps ? "" : ` of step ${formatCount(step)}, the best`;
  return [
    row("Done", `${formatCountOf(steps, "step")} in ${formatDuration(done.seconds * 1000)}`),
    ...(first === null || last === null
      ? []
      : [row("Loss", `${formatLoss(first)} in the first step, ${formatLoss(last)} in the last`)]),
    ...(before === null || after === null
      ? []
      : [row("Held out", `loss ${formatLoss(before)} -> ${formatLoss(after)}`)]),
    ...powerLines(done),
    row("Result", `${result} in ${output}${chosen}${existsSync(page) ? `; report in ${page}` : ""}`),
    row("Next", next),
  ];
}

function powerLines({ joules, energy, paused_seconds: paused = 0 }: DoneEvent): string[] {
  if (joules === undefined) return [];
  const told = `${formatCount(Math.round(joules))} J, ${energy}`;
  return [row("Power", `${told}; pauses of ${formatDuration(paused * 1000)}`)];
}
