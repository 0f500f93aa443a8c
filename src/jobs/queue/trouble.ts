/**
 * @file Reports a problem that repeats, such as a database that cannot be reached: once when it begins, and once when it is
 * over.
 */

export interface TroubleOptions {
  /** Is told of what went wrong, and is tried again: once for as long as it is the same. */
  readonly onTrouble: (error: unknown) => void;
  /** Is told when that is over. */
  readonly onRecovered?: () => void;
}

export class Trouble {
  readonly #options: TroubleOptions;
  #last: string | null = null;

  constructor(options: TroubleOptions) {
    this.#options = options;
  }

  /** Tells of an error, unless it was told last. */
  tell(error: unknown): void {
    const text = String(error);
    if (text === this.#last) return;
    this.#last = text;
    this.#options.onTrouble(error);
  }

  /** Something has gone well. */
  end(): void {
    if (this.#last === null) return;
    this.#last = null;
    this.#options.onRecovered?.();
  }
}
