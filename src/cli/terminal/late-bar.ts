/** @file A bar that is drawn from the first number on that there is to show. */
import type { Bar } from "./progress.ts";

interface BarUpdate {
  readonly notes?: Parameters<Bar["update"]>[1];
  /** What is counted; another one has a bar of its own. */
  readonly of?: string;
}

export class LateBar {
  #bar: Bar | null = null;
  #of = "";

  /** Moves the bar; `begin` starts it where there is none. */
  update(value: number, begin: () => Bar, { notes, of = "" }: BarUpdate = {}): void {
    if (of !== this.#of) this.stop();
    this.#of = of;
    this.#bar ??= begin();
    this.#bar.update(value, notes);
  }

  /** Ends the bar where there is one; a number after it begins another. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = null;
  }
}
