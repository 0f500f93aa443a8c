/**
 * @file Which thread of a process a lock belongs to, and whether it is still there: one that is terminated releases nothing, and
 * its process goes on.
 */
import threads from "node:worker_threads";
import { systemCode } from "../../../messages/system-error.ts";

/** How long the thread of a lock is looked for. One that computes takes no message meanwhile, and is there. */
const TIMEOUT_MS = 500;

/** Takes the messages by which others look for this thread, which say nothing. */
function beFound(): void {}

/** The number of this thread, which others find as long as it is there. */
export function thisThread(): number {
  if (!process.listeners("workerMessage").includes(beFound)) process.on("workerMessage", beFound);
  return threads.threadId;
}

/** Whether a thread of this process has ended. Versions of Node that send no messages to threads do not know: then false. */
export async function isThreadGone(threadId: number): Promise<boolean> {
  if (!("postMessageToThread" in threads)) return false;
  try {
    await threads.postMessageToThread(threadId, null, [], TIMEOUT_MS);
    return false;
  } catch (error) {
    return systemCode(error) === "ERR_WORKER_MESSAGING_FAILED";
  }
}
