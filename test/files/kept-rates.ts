/** @file Rates of a machine that is not measured, which takes three seconds of a processor in each folder of the cache. */
import type { Environment } from "../../src/environment.ts";
import { ratesOf } from "../../src/train/files/setup/rates-file.ts";

/** Keeps rates for plans of so many threads, or of as many as there are, as if they had been measured. */
export async function keepRates(env: Environment, threads?: number): Promise<void> {
  const rates = { float32: 5e10, int8: 1e11, movedBytes: 1e10, readBytes: 1e9 };
  await ratesOf(env, threads, async () => await Promise.resolve({ rates, isDisturbed: false }));
}
