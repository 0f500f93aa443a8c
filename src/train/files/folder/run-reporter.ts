/** @file The report of a run in its folder: what it contains beside the state, and when it is written during the run. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Fact } from "../../../format/cards/model-card.ts";
import type { StartEvent } from "../../events.ts";
import { mergeCommand, nextCommand, resumeCommand } from "../../report/next-command.ts";
import type { RunState } from "../../loop/run-state.ts";
import { describeEnvironment } from "./environment.ts";
import { RUN_FILES } from "./run-files.ts";
import { withoutRows } from "../config-text.ts";
import type { SettledOptions } from "../setup/prepare.ts";
import type { TrainingSetup } from "../setup/setup.ts";
import { resultOf, tellStart } from "../tell-run.ts";
import { loadReports } from "./report-modules.ts";

/** Least time between two reports during a run: drawing the charts takes a tenth of a second. */
const EVERY_MS = 30_000;

/** The description of a run in its reports. */
interface Told {
  readonly start: StartEvent;
  readonly options: SettledOptions;
}

export class RunReporter {
  readonly #setup: TrainingSetup;
  readonly #title: string;
  /** Made for the first report and kept, since making it reads all of the data. */
  #told: Told | null = null;
  readonly #nowMs: () => number;
  readonly #environment: readonly Fact[];
  #writtenMs: number;

  constructor(setup: TrainingSetup, title: string, nowMs: () => number) {
    this.#setup = setup;
    this.#title = title;
    this.#nowMs = nowMs;
    this.#environment = describeEnvironment(setup.options.threads);
    this.#writtenMs = nowMs();
  }

  /** Whether to write a report with a checkpoint; not at the last step, whose report comes when the memory of steps is free for charts. */
  isDueAt({ global_step: step, max_steps: last }: Pick<RunState, "global_step" | "max_steps">): boolean {
    return step < last && this.#nowMs() - this.#writtenMs >= EVERY_MS;
  }

  async write(state: RunState, { isDone }: { readonly isDone: boolean }): Promise<string> {
    const { adapter, objective, optimizerOptions, inputs } = this.#setup;
    const told = this.#tell();
    this.#writtenMs = this.#nowMs();
    const { resume: _resume, overwrite: _overwrite, ...settings } = told.options;
    const ofParts = [adapter.options, optimizerOptions, objective.options] as readonly object[];
    const own = Object.assign({ objective: objective.objective.name }, ...ofParts) as object;
    const { writeReport } = await loadReports();
    return writeReport({
      title: this.#title,
      start: told.start,
      state,
      isDone,
      settings: Object.fromEntries(
        Object.entries({ ...settings, ...own }).filter(([, value]) => (value ?? null) !== null),
      ),
      inputs: inputs.facts,
      environment: this.#environment,
      next: this.#next(isDone),
    });
  }

  #tell(): Told {
    const setup = this.#setup;
    return (this.#told ??= { start: tellStart(setup), options: withoutRows(setup.options) });
  }

  #next(isDone: boolean): Fact[] {
    const { start, options } = this.#tell();
    const { output } = options;
    const result = resultOf(this.#setup.adapter);
    if (!isDone)
      return [["Resume from the newest checkpoint", resumeCommand(join(output, RUN_FILES.config))]];
    return [
      ["Try it", nextCommand(start, { output, result }, options, existsSync)],
      ...(result === "model"
        ? []
        : [["Merge it into a model", mergeCommand(start, { output, result })] as const]),
    ];
  }
}
