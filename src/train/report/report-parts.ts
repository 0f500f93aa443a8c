/** @file The parts of a report. */
import type { Fact } from "../../format/cards/model-card.ts";
import type { StartEvent } from "../events.ts";
import type { RunState } from "../loop/run-state.ts";

export interface ReportParts {
  readonly title: string;
  readonly start: StartEvent;
  readonly state: RunState;
  /** Whether the result is written. */
  readonly isDone: boolean;
  /** The effective settings, by name. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What the run read. */
  readonly inputs: readonly Fact[];
  readonly environment: readonly Fact[];
  /** What to do next, and the command for it. */
  readonly next: readonly Fact[];
}
