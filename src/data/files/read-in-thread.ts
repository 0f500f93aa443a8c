/** @file Reads large data in a separate thread: the caller stays responsive, sees progress, and may stop it. */
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

/** The thread's program, in the sources or in the package. */
const WORKER = new URL(
  import.meta.url.endsWith(".ts") ? "./unit-worker.ts" : "./unit-worker.js",
  import.meta.url,
);

/** Whether a thread has reached its memory limit, or the machine ran out of memory. */
const isOutOfMemory = ({ code, message }: NodeJS.ErrnoException): boolean =>
  code === "ERR_WORKER_OUT_OF_MEMORY" || message === "Array buffer allocation failed";

/** Limit of V8's young generation: rows become garbage once read, and without a limit V8 lets a hundred megabytes accumulate. */
const YOUNG_MEGABYTES = 12;

/**
 * Reads some content in a thread; the bytes are transferred, so the caller loses them.
 * @throws as `readContent`; the reason of `signal` when it was stopped
 */
export async function readInThread(
  job: UnitJob,
  { signal, onRows }: { readonly signal?: AbortSignal | undefined; readonly onRows?: OnRows | undefined },
): Promise<ReadUnits> {
  signal?.throwIfAborted();
  const { buffer, byteLength } = job.content.bytes;
  // Memory that is shared with others is copied instead.
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

/** Makes the error for a thread that ran out of memory, or ended without reporting an error, which mostly means the same. */
function lostThread(found: string, cause?: unknown): CapacityError {
  return new CapacityError("capacity/memory", `Cannot read data in a thread: ${found}`, {
    hint: "Split the file into smaller ones, or close other programs.",
    cause,
  });
}
