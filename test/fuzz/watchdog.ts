/** @file Ends the process when a case computes without end: another thread can, where no handler of signals would run. */
import { Worker } from "node:worker_threads";

/** Wall-clock time after which a case counts as endless, on a machine however busy. */
const ENDLESS_MS = 60_000;

const THREAD = `
const { parentPort, workerData } = require("node:worker_threads");
const { writeSync } = require("node:fs");
let timer = null;
parentPort.on("message", (what) => {
  clearTimeout(timer);
  if (what === null) return;
  timer = setTimeout(() => {
    writeSync(2, what + "\\n");
    process.kill(process.pid, "SIGKILL");
  }, workerData);
});
`;

/** Watches one case at a time. */
interface Watchdog extends Disposable {
  /** `what` is written before the process is ended. */
  begin(what: string): void;
  end(): void;
}

/** Starts the thread. */
export function startWatchdog(): Watchdog {
  const thread = new Worker(THREAD, { eval: true, workerData: ENDLESS_MS });
  thread.unref();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  const tell = (what: string | null): void => thread.postMessage(what);
  return {
    begin: tell,
    end: () => tell(null),
    [Symbol.dispose]: () => void thread.terminate(),
  };
}
