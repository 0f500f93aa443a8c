/** @file Stops waiting for work when a signal aborts. The work itself goes on. */

/** Waits for work until a signal aborts. @throws the signal's reason; as the work */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (): void => reject(signal.reason as Error);
    if (signal.aborted) end();
    signal.addEventListener("abort", end);
    const over = (): void => signal.removeEventListener("abort", end);
    work.then(resolve, reject).finally(over);
  });
}
