/** @file A queue of values that one side puts in and the other takes out when it is ready. It has an end. */

export class TokenQueue<T, R> {
  readonly #values: T[] = [];
  #end: { readonly result: R } | { readonly error: unknown } | null = null;
  #wake: () => void = () => {};

  push(value: T): void {
    this.#values.push(value);
    this.#wake();
  }

  end(result: R): void {
    this.#end ??= { result };
    this.#wake();
  }

  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake();
  }

  /** Gives all values as they come, then the result. @throws what it failed with, after the values */
  async *take(): AsyncGenerator<T, R, void> {
    for (;;) {
      while (this.#values.length > 0) yield this.#values.shift() as T;
      if (this.#end) {
        if ("error" in this.#end) throw this.#end.error;
        return this.#end.result;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
