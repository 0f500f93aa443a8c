/**
 * @file Which thread of a process a lock belongs to, and whether that thread still exists: a thread that is terminated does not
 * release its locks, while its process goes on.
 */
import threads from "node:worker_threads";
import { systemCode } from "../../../messages/system-error.ts";

/** How long to wait for the thread of a lock. One that is busy does not take the message in this time, and counts as alive. */
const TIMEOUT_MS = 500;

/** Takes the empty messages by which others look for this thread. */
function beFound(): void {}

/** Returns the number of this thread, and lets others find it by this number. */
export function thisThread(): number {
  if (!process.listeners("workerMessage").includes(beFound)) process.on("workerMessage", beFound);
  return threads.threadId;
}

/** Whether a thread of this process has ended; false where Node is too old to send messages to threads. */
export async function isThreadGone(threadId: number): Promise<boolean> {
  if (!("postMessageToThread" in threads)) return false;
  try {
    await threads.postMessageToThread(threadId, null, [], TIMEOUT_MS);
    return false;
  } catch (error) {
    return systemCode(error) === "ERR_WORKER_MESSAGING_FAILED";
  }
}
