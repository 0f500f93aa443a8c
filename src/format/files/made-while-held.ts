/** @file Caches an object only while somebody uses it: the vocabulary of a tokenizer, for example, takes much memory. */

/** Returns a function that makes an object, or returns the one made before unless it has been garbage-collected. */
export function madeWhileHeld<T extends object>(make: () => T): () => T {
  let held: WeakRef<T> | null = null;
  return () => {
    const made = held?.deref() ?? make();
    held = new WeakRef(made);
    return made;
  };
}
