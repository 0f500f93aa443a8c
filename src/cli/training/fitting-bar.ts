/** @file A progress bar while memory plans are compared. */
import type { FitProgress } from "../../train/files/setup/fit-run.ts";
import type { CommandIO } from "../command.ts";
import { LateBar } from "../terminal/late-bar.ts";
import type { Bar } from "../terminal/progress.ts";

/** One bar for each list of plans; not drawn if they take no time. */
export class FittingBar {
  readonly #io: CommandIO;
  readonly #bar = new LateBar();

  constructor(io: CommandIO) {
    this.#io = io;
  }

  update({ numPlans, totalPlans }: FitProgress): void {
    const begin = (): Bar => this.#io.progress("comparing plans", totalPlans, "steps");
    this.#bar.update(numPlans, begin, { of: String(totalPlans) });
  }

  stop(): void {
    this.#bar.stop();
  }
}
