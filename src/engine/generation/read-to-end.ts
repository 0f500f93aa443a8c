/** @file Reads what a generator makes, to what it returns at its end. */

/** Hands each item on, in order, and returns the end. @throws as the generator and `onItem`, after which nothing more is read */
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
