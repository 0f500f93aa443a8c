/** @file A training on the terminal: its progress bar, its events, and its messages. */
import { existsSync } from "node:fs";
import { train as fineTune } from "../../engine/train.ts";
import { formatBytes, formatLoss } from "../../messages/numbers.ts";
import type { StartEvent, StepEvent, TrainEvent } from "../../train/events.ts";
import { nextCommand } from "../../train/report/next-command.ts";
import type { TrainInput } from "../../train/settings/train-input.ts";
import type { TrainHooks } from "../../train/train-hooks.ts";
import type { CommandIO } from "../command.ts";
import { warn } from "../report.ts";
import { pullWithProgress } from "../model/pull-model.ts";
import { ReadingBar } from "../data/reading.ts";
import { evaluationLine, resumeLines, sampleLines, startLines } from "./run-report.ts";
import { FittingBar } from "./fitting-bar.ts";
import { LateBar } from "../terminal/late-bar.ts";

function notesOf(event: StepEvent): Record<string, string> {
  return {
    loss: formatLoss(event.loss),
    speed: `${Math.round(event.tokens_per_second)} tokens/s`,
    memory: formatBytes(event.peak_mb * 1e6),
  };
}

/** Prints the events of a training, beside a progress bar of its steps. */
class TrainTeller {
  readonly #io: CommandIO;
  readonly #options: TrainInput;
  readonly #reading: ReadingBar;
  readonly #fitting: FittingBar;
  readonly #bar = new LateBar();
  #start: StartEvent | null = null;
  /** The command that tries the trained model; empty until the training is done. */
  nextCommand = "";

  readonly #handlers: { readonly [E in TrainEvent as E["event"]]: (event: E) => void } = {
    read: ({ file, rows, total_rows: totalRows }) => this.#reading.update({ file, numRows: rows, totalRows }),
    fit: ({ plans, total_plans: totalPlans }) => this.#fitting.update({ numPlans: plans, totalPlans }),
    note: ({ level, message }) => (level === "warn" ? warn(message, this.#io) : this.#io.stderr(message)),
    start: (event) => {
      this.#start = event;
      this.#show(startLines(event));
      if (!this.#options.resume) this.#draw(0, event.total_steps);
    },
    resume: (event) => {
      this.#show(resumeLines(event));
      this.#draw(event.step, event.total_steps);
    },
    step: (event) => this.#draw(event.step, event.total_steps, notesOf(event)),
    sample: ({ prompt, text }) => this.#show(sampleLines(prompt, text)),
    eval: (event) => this.#io.stdout(evaluationLine(event)),
    done: (event) => {
      if (this.#start) this.nextCommand = nextCommand(this.#start, event, this.#options, existsSync);
    },
  };

  constructor(io: CommandIO, options: TrainInput) {
    this.#io = io;
    this.#options = options;
    this.#reading = new ReadingBar(io);
    this.#fitting = new FittingBar(io);
  }

  /** Whether data and model are loaded, so that a step comes next. */
  get hasStarted(): boolean {
    return this.#start !== null;
  }

  tell(event: TrainEvent): void {
    if (event.event !== "read") this.#reading.stop();
    if (event.event !== "fit") this.#fitting.stop();
    (this.#handlers[event.event] as (event: TrainEvent) => void)(event);
    this.#io.emit(event.event === "done" ? { ...event, next_command: this.nextCommand } : { ...event });
  }

  stop(): void {
    this.#reading.stop();
    this.#fitting.stop();
    this.#bar.stop();
  }

  #show(lines: readonly string[]): void {
    lines.forEach((line) => this.#io.stdout(line));
  }

  #draw(step: number, totalSteps: number, notes?: Record<string, string>): void {
    this.#bar.update(step, () => this.#io.progress("training", totalSteps, "steps"), notes && { notes });
  }
}

/** The result of a run, and the command that tries it. */
type TrainedRun = Awaited<ReturnType<typeof fineTune>> & { readonly nextCommand: string };

/** Fine-tunes with a progress bar and the events on the terminal; the library's errors pass through. */
export async function trainWithProgress(
  options: TrainInput,
  io: CommandIO,
  { given }: Pick<TrainHooks, "given"> = {},
): Promise<TrainedRun> {
  // Fetched here with a progress bar; the run then finds it in the cache.
  await pullWithProgress(options.model, io);
  const teller = new TrainTeller(io, options);
  const tellStop = (): void =>
    io.stderr(
      `Stopping${teller.hasStarted ? " after this step, with a checkpoint" : ""}; interrupt again to quit at once.`,
    );
  io.signal.addEventListener("abort", tellStop);
  try {
    const result = await fineTune(options, {
      signal: io.signal,
      ...(given ? { given } : {}),
      env: io.env,
      onEvent: (event) => teller.tell(event),
    });
    return { ...result, nextCommand: teller.nextCommand };
  } finally {
    io.signal.removeEventListener("abort", tellStop);
    teller.stop();
  }
}
