/** @file What was measured of this machine, kept in the cache folder: once for each processor, ONNX Runtime and number of threads. */
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Environment } from "../../../environment.ts";
import { writeTextAtomic } from "../../../format/files/atomic.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { homeFolderOf } from "../../../hub/models-folder.ts";
import { createEngine } from "../../../runtime/create-engine.ts";
import { engineVersion } from "../../../runtime/ort/ort-c-api.ts";
import { measureRates } from "../../plan/measure-rates.ts";
import type { Rates } from "../../plan/step-time.ts";

const FILE = "rates.json";
const RATES = z.object({
  float32: z.number().positive(),
  int8: z.number().positive(),
  movedBytes: z.number().positive(),
  readBytes: z.number().positive(),
});
const KEPT = z.record(z.string(), RATES).catch({});

/** The rates of this machine: those that are kept, or measured now and kept if the folder can be written. */
export async function ratesOf(env: Environment, threads: number | undefined): Promise<Rates> {
  const path = join(homeFolderOf(env), FILE);
  const numThreads = threads ?? availableParallelism();
  const key = [
    cpus()[0]?.model ?? process.arch,
    `onnxruntime ${engineVersion()}`,
    `${numThreads} threads`,
  ].join(", ");
  const kept = KEPT.parse(
    await disk()
      .readFile(path, "utf8")
      .then(JSON.parse)
      .catch(() => null),
  );
  const known = kept[key];
  if (known) return known;
  const rates = await measureRates(createEngine({ threads: numThreads }));
  const text = `${JSON.stringify({ ...kept, [key]: rates }, null, 2)}\n`;
  // Without a cache a plan is made all the same.
  await disk()
    .mkdir(homeFolderOf(env), { recursive: true })
    .then(() => writeTextAtomic(path, text))
    .catch(() => {});
  return rates;
}
