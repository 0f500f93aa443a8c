/** @file Runs a file in a thread of its own: the caller stays free, and may stop it. */
import { Worker, type WorkerOptions } from "node:worker_threads";

/** How a thread is started and listened to. */
interface ThreadRun<M, T> extends Pick<WorkerOptions, "workerData" | "transferList" | "resourceLimits"> {
  readonly signal: AbortSignal | undefined;
  /** Takes what the thread tells, until it is over by one of the two. */
  readonly onMessage: (message: M, resolve: (value: T) => void, reject: (error: Error) => void) => void;
  /** Makes the error for a thread that ends without a word. */
  readonly lost: (found: string, cause?: unknown) => Error;
}

/** The file of a thread beside its caller, in the sources or in the package. */
export function threadFile(name: string, caller: string): URL {
  return new URL(`./${name}.${caller.endsWith(".ts") ? "ts" : "js"}`, caller);
}

/** Runs it until it is over, or is stopped. @throws what `onMessage` rejects with; the reason of `signal`; what `lost` makes */
export async function runThread<M, T>(file: URL, run: ThreadRun<M, T>): Promise<T> {
  const { signal, onMessage, lost, ...options } = run;
  signal?.throwIfAborted();
  const worker = new Worker(file, options);
  const over = new AbortController();
  try {
    return await new Promise<T>((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as Error), { signal: over.signal });
      worker.on("message", (message: M) => onMessage(message, resolve, reject));
      worker.on("error", (cause) => reject(lost(String(cause), cause)));
      worker.on("exit", (code) => reject(lost(`it ended with ${code}`)));
    });
  } finally {
    over.abort();
    await worker.terminate();
  }
}
