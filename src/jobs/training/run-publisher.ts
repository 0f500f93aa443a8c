/** @file Copies what a run has written to where others read it, one copy after another. */
import type { Trouble } from "../queue/trouble.ts";

export class RunPublisher {
  readonly #write: () => Promise<void>;
  readonly #trouble: Trouble;
  #last: Promise<void> = Promise.resolve();
  /** Whether a copy is already waiting for the previous one; it will include all that is written by then. */
  #isNext = false;

  constructor(write: () => Promise<void>, trouble: Trouble) {
    this.#write = write;
    this.#trouble = trouble;
  }

  /** Publishes after the copy that is running, if any; a failure is reported, and the next copy includes what is missing. */
  publishSoon(): void {
    if (this.#isNext) return;
    this.#isNext = true;
    this.#last = this.#last.then(async () => {
      this.#isNext = false;
      await this.#write().then(
        () => this.#trouble.end(),
        (error: unknown) => this.#trouble.tell(error),
      );
    });
  }

  /** Publishes all that has been written. @throws as publishing */
  async publish(): Promise<void> {
    const done = this.#last.then(() => this.#write());
    this.#last = done.catch(() => {});
    await done;
  }

  /** Waits for running copies. */
  settled(): Promise<void> {
    return this.#last;
  }
}
