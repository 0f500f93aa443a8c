/** @file The measured rates of this machine, stored in the cache folder for each processor, version of ONNX Runtime and number of threads. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Environment } from "../../../environment.ts";
import { writeTextAtomic } from "../../../format/files/atomic.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { homeFolderOf } from "../../../hub/models-folder.ts";
import { createEngine } from "../../../runtime/create-engine.ts";
import { engineVersion } from "../../../runtime/ort/ort-c-api.ts";
import { describeProcessor } from "../processor.ts";
import { type MeasuredRates, measureRates } from "../../plan/measure-rates.ts";

const FILE = "rates.json";
const RATES = z.object({
  float32: z.number().positive(),
  int8: z.number().positive(),
  movedBytes: z.number().positive(),
  readBytes: z.number().positive(),
  /** When the measurement was made, if other programs disturbed it. */
  disturbedMs: z.number().optional(),
});
/** How long a disturbed measurement is used before it is repeated. */
const DISTURBED_FOR_MS = 10 * 60_000;
const KEPT = z.record(z.string(), RATES).catch({});

/**
 * The rates of this machine: stored ones, or measured now and stored if the folder is writable. Disturbed measurements expire after ten
 * minutes. `nowMs`: a clock.
 */
export async function ratesOf(
  env: Environment,
  threads: number | undefined,
  measure: (numThreads: number) => Promise<MeasuredRates> = measureHere,
  nowMs = Date.now(),
): Promise<MeasuredRates> {
  const path = join(homeFolderOf(env), FILE);
  const numThreads = threads ?? availableParallelism();
  const key = [describeProcessor(), `onnxruntime ${engineVersion()}`, `${numThreads} threads`].join(", ");
  const kept = KEPT.parse(
    await disk()
      .readFile(path, "utf8")
      .then(JSON.parse)
      .catch(() => null),
  );
  const known = kept[key];
  const { disturbedMs } = known ?? {};
  const willDo = disturbedMs === undefined || Math.abs(nowMs - disturbedMs) < DISTURBED_FOR_MS;
  if (known && willDo) return { rates: known, isDisturbed: disturbedMs !== undefined };
  const measured = await measure(numThreads);
  const rates = { ...measured.rates, ...(measured.isDisturbed && { disturbedMs: nowMs }) };
  const text = `${JSON.stringify({ ...kept, [key]: rates }, null, 2)}\n`;
  // Failures are ignored: a plan does not need the cache.
  await writeTextAtomic(path, text).catch(() => {});
  return measured;
}

async function measureHere(numThreads: number): Promise<MeasuredRates> {
  return await measureRates(createEngine({ threads: numThreads }));
}
