/** @file Copies what a run has written to where others read it. Two copies never run at the same time. */
import type { Trouble } from "../queue/trouble.ts";

export class RunPublisher {
  readonly #write: () => Promise<void>;
  readonly #trouble: Trouble;
  #last: Promise<void> = Promise.resolve();
  /** Whether a copy waits for the one before it, which takes all that is written by then. */
  #isNext = false;

  constructor(write: () => Promise<void>, trouble: Trouble) {
    this.#write = write;
    this.#trouble = trouble;
  }

  /** Publishes behind what is being published; what fails is told of, and is in the next. */
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

  /** Publishes all that has been written. @throws as publishing does */
  async publish(): Promise<void> {
    const done = this.#last.then(() => this.#write());
    this.#last = done.catch(() => {});
    await done;
  }

  /** Waits for what is being published. */
  settled(): Promise<void> {
    return this.#last;
  }
}
