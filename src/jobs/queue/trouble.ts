/**
 * @file Reports a problem that repeats, such as a database that cannot be reached: once when it begins, and once when it is over.
 */

export interface TroubleOptions {
  /** Receives an error after which the work is retried; once for as long as the error stays the same. */
  readonly onTrouble: (error: unknown) => void;
  /** Called when the problem is over. */
  readonly onRecovered?: () => void;
}

export class Trouble {
  readonly #options: TroubleOptions;
  #last: string | null = null;

  constructor(options: TroubleOptions) {
    this.#options = options;
  }

  /** Reports an error, unless it was the last one reported. */
  tell(error: unknown): void {
    const text = String(error);
    if (text === this.#last) return;
    this.#last = text;
    this.#options.onTrouble(error);
  }

  /** Records a success. */
  end(): void {
    if (this.#last === null) return;
    this.#last = null;
    this.#options.onRecovered?.();
  }
}
