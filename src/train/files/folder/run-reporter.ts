/** @file The report of a run in its folder: what it says beside the state, and when it is written while the run goes on. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Fact } from "../../../format/cards/model-card.ts";
import type { StartEvent } from "../../events.ts";
import { mergeCommand, nextCommand, resumeCommand } from "../../report/next-command.ts";
import type { RunState } from "../../loop/run-state.ts";
import { describeEnvironment } from "./environment.ts";
import { RUN_FILES } from "./run-files.ts";
import type { SettledOptions } from "../setup/prepare.ts";
import { loadReports } from "./report-modules.ts";

/** Least time between two reports while a run goes on: charts take a tenth of a second. */
const EVERY_MS = 30_000;

/** What is told of a run. */
export interface ReporterParts {
  readonly title: string;
  readonly start: StartEvent;
  readonly result: "adapter" | "model";
  /** The options that took effect. Rows in memory are described instead of listed. */
  readonly options: SettledOptions;
  /** What method, optimizer and objective have of their own, where it was not given too. */
  readonly ownOptions: Readonly<Record<string, unknown>>;
  readonly inputs: readonly Fact[];
  readonly nowMs: () => number;
}

/** Writes the reports of a run. */
export class RunReporter {
  readonly #parts: ReporterParts;
  readonly #environment: readonly Fact[];
  #writtenMs: number;

  constructor(parts: ReporterParts) {
    this.#parts = parts;
    this.#environment = describeEnvironment(parts.options.threads);
    this.#writtenMs = parts.nowMs();
  }

  /** Whether a checkpoint is to have a report: that of the last step has it when the memory of steps is free for charts. */
  isDueAt({ global_step: step, max_steps: last }: Pick<RunState, "global_step" | "max_steps">): boolean {
    return step < last && this.#parts.nowMs() - this.#writtenMs >= EVERY_MS;
  }

  /** Writes the page. */
  async write(state: RunState, { isDone }: { readonly isDone: boolean }): Promise<string> {
    const { title, start, options, ownOptions, inputs, nowMs } = this.#parts;
    this.#writtenMs = nowMs();
    const { resume: _resume, overwrite: _overwrite, ...settings } = options;
    const { writeReport } = await loadReports();
    return writeReport({
      title,
      start,
      state,
      isDone,
      settings: Object.fromEntries(
        Object.entries({ ...settings, ...ownOptions }).filter(([, value]) => (value ?? null) !== null),
      ),
      inputs,
      environment: this.#environment,
      next: this.#next(isDone),
    });
  }

  #next(isDone: boolean): Fact[] {
    const { start, result, options } = this.#parts;
    const { output } = options;
    if (!isDone) return [["Go on from the newest checkpoint", resumeCommand(join(output, RUN_FILES.config))]];
    return [
      ["Try it", nextCommand(start, { output, result }, options, existsSync)],
      ...(result === "model"
        ? []
        : [["Make a model of its own", mergeCommand(start, { output, result })] as const]),
    ];
  }
}
