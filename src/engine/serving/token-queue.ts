/** @file A queue of values that one side pushes and the other takes when it is ready. It ends with a result or an error. */

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

  /** Yields all values as they come, then returns the result. @throws the error of `fail`, after the values */
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
