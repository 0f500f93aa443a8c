/** @file A bar that is drawn from the first number on that there is to show. */
import type { Bar } from "./progress.ts";

export class LateBar {
  #bar: Bar | null = null;

  /** Moves the bar; `begin` starts it where there is none. */
  update(value: number, begin: () => Bar, notes?: Parameters<Bar["update"]>[1]): void {
    this.#bar ??= begin();
    this.#bar.update(value, notes);
  }

  /** Ends the bar where there is one; a number after it begins another. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = null;
  }
}
