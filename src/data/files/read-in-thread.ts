/** @file Reading large data in a thread of its own: the caller stays free, sees how far it is, and may stop it. */
import { Worker } from "node:worker_threads";
import type { RowCounts } from "../reports/data-report.ts";
import { CapacityError, errorOf } from "../../errors.ts";
import type { PackedUnits } from "../examples/packed-units.ts";
import type { OnRows } from "./data-content.ts";
import type { UnitJob, UnitMessage } from "./unit-worker.ts";

export interface ReadUnits {
  readonly packed: readonly PackedUnits[];
  readonly counts: RowCounts;
}

/** The file of the thread, in the sources or in the package. */
const WORKER = new URL(
  import.meta.url.endsWith(".ts") ? "./unit-worker.ts" : "./unit-worker.js",
  import.meta.url,
);

/** Whether a thread has reached its limit of memory, or the machine its own. */
const isOutOfMemory = ({ code, message }: NodeJS.ErrnoException): boolean =>
  code === "ERR_WORKER_OUT_OF_MEMORY" || message === "Array buffer allocation failed";

/** Rows are garbage as soon as they are read; without a limit V8 lets a hundred megabytes of them pile up. */
const YOUNG_MEGABYTES = 12;

/** Reads some content in a thread, which takes the bytes: the caller has none afterwards. @throws as `readContent`; the reason of `signal` when it was stopped */
export async function readInThread(
  job: UnitJob,
  { signal, onRows }: { readonly signal?: AbortSignal | undefined; readonly onRows?: OnRows | undefined },
): Promise<ReadUnits> {
  signal?.throwIfAborted();
  const { buffer, byteLength } = job.content.bytes;
  // Of memory that others share, a copy goes.
  const moved = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
  const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_MEGABYTES };
  const worker = new Worker(WORKER, { workerData: job, transferList: moved, resourceLimits });
  const packed: PackedUnits[] = [];
  const stop = new AbortController();
  try {
    return await new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as Error), { signal: stop.signal });
      const tell: OnRows = (...counts) => {
        try {
          onRows?.(...counts);
        } catch (error) {
          reject(error);
        }
      };
      worker.on("message", (message: UnitMessage) => {
        if (message.type === "rows") tell(message.numRows, message.totalRows);
        else if (message.type === "units") packed.push(message.packed);
        else if (message.type === "done") resolve({ packed, counts: message.counts });
        else reject(errorOf(message.code, message.message, message.hint));
      });
      worker.on("error", (cause: NodeJS.ErrnoException) =>
        reject(isOutOfMemory(cause) ? lostThread(cause.message, cause) : cause),
      );
      worker.on("exit", (code) => reject(lostThread(`it ended with ${code}`)));
    });
  } finally {
    stop.abort();
    await worker.terminate();
  }
}

/** A thread tells its faults; one that ends without a word has mostly run out of memory. */
function lostThread(found: string, cause?: unknown): CapacityError {
  return new CapacityError("capacity/memory", `Cannot read data in a thread: ${found}`, {
    hint: "Split the file into smaller ones, or close other programs.",
    cause,
  });
}
