/** @file A training on the terminal: its bar, its events, and what is told of it. */
import { train as fineTune } from "../../engine/train.ts";
import { formatBytes, formatFixed, formatLoss } from "../../messages/numbers.ts";
import type { EvalEvent, StartEvent, StepEvent, TrainEvent } from "../../train/events.ts";
import { nextCommand } from "../../train/report/next-command.ts";
import type { TrainInput } from "../../train/settings/options.ts";
import type { TrainHooks } from "../../train/train-hooks.ts";
import type { CommandIO } from "../command.ts";
import { pullWithProgress } from "../model/pull-model.ts";
import { ReadingBar } from "../data/reading.ts";
import { resumeLines, sampleLines, startLines } from "./run-report.ts";
import type { Bar } from "../terminal/progress.ts";

function notesOf(event: StepEvent): Record<string, string> {
  return {
    loss: formatLoss(event.loss),
    speed: `${Math.round(event.tokens_per_second)} tokens/s`,
    memory: formatBytes(event.peak_mb * 1e6),
  };
}

function describeEvaluation({ step, loss, perplexity }: EvalEvent): string {
  const when = step === 0 ? "before training" : `after step ${step}`;
  const told = perplexity === undefined ? "" : ` (perplexity ${formatFixed(perplexity, 2)})`;
  return `held-out loss ${when}: ${formatLoss(loss)}${told}`;
}

/** What a run ended with, and the command that tries it. */
export type TrainedRun = Awaited<ReturnType<typeof fineTune>> & { readonly nextCommand: string };

/** Fine-tunes with a progress bar and the events on the terminal; the library's errors pass through. */
export async function trainWithProgress(
  options: TrainInput,
  io: CommandIO,
  { given }: Pick<TrainHooks, "given"> = {},
): Promise<TrainedRun> {
  // Fetched here with a bar; the run finds it in the cache.
  await pullWithProgress(options.model, io);
  let bar: Bar | null = null;
  let start: StartEvent | null = null;
  let next = "";
  const reading = new ReadingBar(io);
  const show = (lines: readonly string[]): void => lines.forEach((line) => io.stdout(line));
  const draw = (step: number, totalSteps: number, notes?: Record<string, string>): void => {
    bar ??= io.progress("training", totalSteps, "steps");
    bar.update(step, notes);
  };
  const tellStop = (): void =>
    io.stderr("Stopping after this step, with a checkpoint; once more ends at once.");
  io.signal.addEventListener("abort", tellStop);
  const handlers: { readonly [E in TrainEvent as E["event"]]: (event: E) => void } = {
    read: ({ file, rows, total_rows: totalRows }) => reading.update({ file, numRows: rows, totalRows }),
    note: ({ message }) => io.stderr(message),
    start(event) {
      start = event;
      show(startLines(event));
      if (!options.resume) draw(0, event.total_steps);
    },
    resume(event) {
      show(resumeLines(event));
      draw(event.step, event.total_steps);
    },
    step: (event) => draw(event.step, event.total_steps, notesOf(event)),
    sample: ({ prompt, text }) => show(sampleLines(prompt, text)),
    eval: (event) => io.stdout(describeEvaluation(event)),
    done(event) {
      if (start) next = nextCommand(start, event, options);
    },
  };
  try {
    const result = await fineTune(options, {
      signal: io.signal,
      ...(given ? { given } : {}),
      env: io.env,
      onEvent: (event) => {
        if (event.event !== "read") reading.stop();
        (handlers[event.event] as (event: TrainEvent) => void)(event);
        io.emit(event.event === "done" ? { ...event, next_command: next } : { ...event });
      },
    });
    return { ...result, nextCommand: next };
  } finally {
    io.signal.removeEventListener("abort", tellStop);
    reading.stop();
    (bar as Bar | null)?.stop();
  }
}
