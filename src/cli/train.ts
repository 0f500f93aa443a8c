/** @file `graft train`: fine-tunes a model on one's own data. */
import { DEFAULT_MODEL } from "../hub/resolve.ts";
import type { EvalEvent, StepEvent, TrainEvent } from "../train/events.ts";
import { TRAIN_OPTIONS, type TrainInput, findTrainProblems } from "../train/options.ts";
import { train as fineTune } from "../train/trainer.ts";
import { type CommandIO, defineCommand } from "./command.ts";
import { formatBytes, formatCount, formatFixed, formatLoss } from "./numbers.ts";
import type { Bar } from "./progress.ts";
import { pullWithProgress } from "./pull.ts";

function notesOf(event: StepEvent): Record<string, string> {
  return {
    loss: formatLoss(event.loss),
    speed: `${Math.round(event.tokens_per_second)} tokens/s`,
    memory: formatBytes(event.peak_mb * 1e6),
  };
}

function describeEvaluation({ step, loss, perplexity }: EvalEvent): string {
  const when = step === 0 ? "before training" : `after step ${step}`;
  return `held-out loss ${when}: ${formatLoss(loss)} (perplexity ${formatFixed(perplexity, 2)})`;
}

/** Fine-tunes with a progress bar and the events on the terminal; the library's errors pass through. */
export async function trainWithProgress(
  options: TrainInput,
  io: CommandIO,
  onEvent: (event: TrainEvent) => void = () => {},
): Promise<Awaited<ReturnType<typeof fineTune>>> {
  // Fetched here with a bar; the run finds it in the cache.
  await pullWithProgress(options.model, io);
  let bar: Bar | null = null;
  try {
    return await fineTune(options, {
      signal: io.signal,
      onEvent: (event) => {
        onEvent(event);
        if (event.event === "note") io.stderr(event.message);
        else io.emit({ ...event });
        if (event.event === "eval") io.stdout(describeEvaluation(event));
        if (event.event === "step") {
          bar ??= io.progress("training", event.total_steps, "steps");
          bar.update(event.step, notesOf(event));
        }
      },
    });
  } finally {
    (bar as Bar | null)?.stop();
  }
}

export const train = defineCommand({
  name: "train",
  summary: "Fine-tune a model on your own data",
  positionals: [],
  options: TRAIN_OPTIONS.extend({ model: TRAIN_OPTIONS.shape.model.default(DEFAULT_MODEL) }),
  findProblems: (values, form) => findTrainProblems({ model: DEFAULT_MODEL, ...values }, form),
  async run(options, io) {
    const result = await trainWithProgress(options as TrainInput, io);
    io.stdout(
      `${formatCount(result.trainable_parameters)} parameters trained in ${result.steps} steps; result in ${result.output}`,
    );
  },
});
