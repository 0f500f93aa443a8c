/** @file Telling a caller's function of work while it goes on, where that function may be async. */

/**
 * Does work that tells a listener. What the listener throws, or rejects with, ends the work: a rejection at the next thing that is told, or
 * when all else is done. Nothing waits for the listener before that.
 * @throws as `work` and the listener
 */
export async function withListener<A extends readonly unknown[], T>(
  listener: ((...told: A) => unknown) | undefined,
  work: (tell: (...told: A) => void) => Promise<T>,
): Promise<T> {
  let failure: { readonly error: unknown } | null = null;
  let answered: Promise<void> = Promise.resolve();
  const requireWell = (): void => {
    if (failure) throw failure.error;
  };
  const done = await work((...told) => {
    requireWell();
    const answer = listener?.(...told);
    if (!(answer instanceof Promise)) return;
    const settled = answer.then(
      () => {},
      (error: unknown) => void (failure ??= { error }),
    );
    answered = answered.then(() => settled);
  });
  await answered;
  requireWell();
  return done;
}
