/** @file The output of `graft plan`: bytes by purpose, what was chosen and why, the time, and the command to type. */
import type { TrainOptions } from "../../train/settings/options.ts";
import { describeSettings, type FittedRun } from "../../train/files/setup/fit-run.ts";
import { kebabCase } from "../../messages/setting-names.ts";
import type { Recompute } from "../../train/recompute.ts";
import type { MeasuredRates } from "../../train/plan/measure-rates.ts";
import { stepSeconds } from "../../train/plan/step-time.ts";
import {
  formatBytes,
  formatCountOf,
  formatDuration,
  formatFixed,
  formatPercent,
} from "../../messages/numbers.ts";
import { shellWords } from "../../messages/shell-words.ts";

const LABEL_WIDTH = 13;
const BYTES_WIDTH = 9;
/** Factor by which a step takes longer than the products and passes of its programs: a guess. */
const OVERHEAD = 1.2;

const DISTURBED = "or far less: other programs ran while the speed was measured";

/** Part → its description. */
const MEANINGS = {
  weights: "frozen weights, as stored and as programs read them",
  trained: "trained parameters, and those the method keeps frozen",
  gradients: "gradients of the trained parameters",
  optimizer: "optimizer state",
  activations: "memory that passes keep and borrow",
  scratch: "memory that ONNX Runtime needs inside programs",
  samples: "generating samples between steps",
  process: "Node, ONNX Runtime, tokenizer and data",
} as const;

interface ToldPlan {
  readonly fitted: FittedRun;
  readonly measured: MeasuredRates;
  /** Words of the command that trains with this plan. */
  readonly words: readonly string[];
}

function row(label: string, bytes: number, meaning: string): string {
  return `${label.padEnd(LABEL_WIDTH)}${formatBytes(bytes).padStart(BYTES_WIDTH)}  ${meaning}`;
}

/** Seconds of a step. */
function secondsOf({ fitted, measured }: ToldPlan): number {
  return OVERHEAD * stepSeconds(fitted.memory, measured.rates);
}

function showActivations(recompute: Recompute): string {
  if (!recompute) return "kept for the backward pass";
  return `computed again in the backward pass${recompute === true ? "" : ", except the outputs of attention"}`;
}

function formatStepTime(seconds: number): string {
  // Tenths of a second up to ten: a step is run many times.
  return seconds < 0.95 ? formatDuration(1000 * seconds) : `${formatFixed(seconds, seconds < 10 ? 1 : 0)} s`;
}

/** Formats a plan for people. */
export function planLines(plan: ToldPlan): string[] {
  const { memory, chosen, limitBytes, prepared } = plan.fitted;
  const { totalSteps } = prepared;
  const seconds = secondsOf(plan);
  const flags = describeSettings(chosen);
  const share = formatPercent(memory.totalBytes / limitBytes);
  return [
    ...Object.entries(MEANINGS).map(([part, meaning]) =>
      row(part, memory.parts[part as keyof typeof MEANINGS], meaning),
    ),
    row("peak", memory.totalBytes, `${share} of ${formatBytes(limitBytes)}`),
    "",
    `${"Chosen".padEnd(LABEL_WIDTH)}${flags === "" ? "nothing: it fits as it is" : `${flags}: the fastest that fits`}`,
    `${"Activations".padEnd(LABEL_WIDTH)}${showActivations(memory.recompute)}`,
    `${"Time".padEnd(LABEL_WIDTH)}about ${formatStepTime(seconds)} per step, ${formatDuration(1000 * seconds * totalSteps)} for ${formatCountOf(totalSteps, "step")}`,
    ...(plan.measured.isDisturbed ? [`${"".padEnd(LABEL_WIDTH)}${DISTURBED}`] : []),
    `${"Command".padEnd(LABEL_WIDTH)}${shellWords(plan.words)}`,
  ];
}

/** Makes the event of a plan. */
export function planEvent(plan: ToldPlan): { readonly event: "plan"; readonly [key: string]: unknown } {
  const { memory, chosen, limitBytes, prepared } = plan.fitted;
  return {
    event: "plan",
    bytes: { ...memory.parts, peak: memory.totalBytes },
    limit_bytes: limitBytes,
    recomputes_activations: memory.recompute !== false,
    chosen: Object.fromEntries(Object.entries(chosen).map(([key, value]) => [kebabCase(key), value])),
    step_seconds: secondsOf(plan),
    total_steps: prepared.totalSteps,
    command: shellWords(plan.words),
  };
}

/** Words of the command that trains with these settings, the given and the chosen ones. */
export function trainWords(options: TrainOptions, keys: ReadonlySet<string>): string[] {
  return [...keys].flatMap((key) => {
    const value = options[key];
    const name = kebabCase(key);
    if (value === undefined || value === false) return value === false ? [`--no-${name}`] : [];
    if (value === true) return [`--${name}`];
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.flatMap((each) => [`--${name}`, typeof each === "string" ? each : JSON.stringify(each)]);
  });
}
