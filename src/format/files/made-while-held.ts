/** @file What is made when it is asked for, and again once nobody holds it: the vocabulary of a tokenizer takes much memory. */

/** Makes an object whenever it is asked for and nobody holds it any more. */
export function madeWhileHeld<T extends object>(make: () => T): () => T {
  let held: WeakRef<T> | null = null;
  return () => {
    const made = held?.deref() ?? make();
    held = new WeakRef(made);
    return made;
  };
}
