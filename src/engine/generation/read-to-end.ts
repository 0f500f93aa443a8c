/** @file Reads a generator to its end. */

/**
 * Passes each item to `onItem`, in order, and returns the generator's return value. @throws as the generator and `onItem`, after
 * which nothing more is read
 */
export async function readToEnd<T, End>(
  items: AsyncGenerator<T, End, void>,
  onItem: (item: T) => void | Promise<void> = () => {},
): Promise<End> {
  for (;;) {
    const step = await items.next();
    if (step.done) return step.value;
    await onItem(step.value);
  }
}
