/** @file Adapters for benchmarks, on the default modules of a method. */
import type { BaseModel } from "../src/models/base/base-model.ts";
import { type Adapter, attach } from "../src/peft/attach.ts";
import { findMethod } from "../src/peft/methods.ts";
import type { Random } from "../src/random.ts";

/** Attaches an adapter with the start values of its method. */
export async function startAdapter(
  base: BaseModel,
  method: string,
  options: object,
  random: Random,
): Promise<Adapter> {
  return await attach(base, { method: findMethod(method), options }, random);
}

/** How the numbers of an adapter are drawn. */
interface Draw {
  readonly random: Random;
  readonly deviation?: number;
}

/** Attaches an adapter and adds normal noise to its numbers, so that it differs from others. */
export async function drawAdapter(
  base: BaseModel,
  method: string,
  options: object,
  { random, deviation = 0.01 }: Draw,
): Promise<Adapter> {
  const adapter = await startAdapter(base, method, options, random);
  for (const { values } of adapter.groups) {
    values.forEach((value, i) => (values[i] = value + deviation * random.normal()));
  }
  return adapter;
}
