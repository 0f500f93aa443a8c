/** @file A progress bar that is drawn from the first update on. */
import type { Bar } from "./progress.ts";

interface BarUpdate {
  readonly notes?: Parameters<Bar["update"]>[1];
  /** What is counted; a change begins another bar. */
  readonly of?: string;
}

export class LateBar {
  #bar: Bar | null = null;
  #of = "";

  /** Moves the bar; `begin` starts one if there is none. */
  update(value: number, begin: () => Bar, { notes, of = "" }: BarUpdate = {}): void {
    if (of !== this.#of) this.stop();
    this.#of = of;
    this.#bar ??= begin();
    this.#bar.update(value, notes);
  }

  /** Ends the bar, if there is one; an update after that begins another. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = null;
  }
}
