/** @file Copies what a run has written to where others read it. Two copies never run at the same time. */

export class RunPublisher {
  readonly #write: () => Promise<void>;
  #last: Promise<void> = Promise.resolve();

  constructor(write: () => Promise<void>) {
    this.#write = write;
  }

  /** Publishes behind what is being published; what fails is in the next. */
  publishSoon(): void {
    this.#last = this.#last.then(this.#write).catch(() => {});
  }

  /** Publishes all that has been written. @throws as publishing does */
  async publish(): Promise<void> {
    await this.#last;
    await this.#write();
  }

  /** Waits for what is being published. */
  settled(): Promise<void> {
    return this.#last;
  }
}
