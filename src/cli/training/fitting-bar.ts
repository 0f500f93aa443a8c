/** @file A bar while plans of memory are compared. */
import type { FitProgress } from "../../train/files/setup/fit-run.ts";
import type { CommandIO } from "../command.ts";
import { LateBar } from "../terminal/late-bar.ts";

/** One bar for each list of plans; nothing is drawn where they take no time. */
export class FittingBar {
  readonly #io: CommandIO;
  readonly #bar = new LateBar();
  #totalPlans = 0;

  constructor(io: CommandIO) {
    this.#io = io;
  }

  update({ numPlans, totalPlans }: FitProgress): void {
    if (totalPlans !== this.#totalPlans) this.stop();
    this.#totalPlans = totalPlans;
    this.#bar.update(numPlans, () => this.#io.progress("comparing plans", totalPlans, "steps"));
  }

  stop(): void {
    this.#bar.stop();
  }
}
