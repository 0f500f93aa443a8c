/** @file The flag that says with how many threads programs run in this process. */
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { Engine } from "../../src/runtime/engine.ts";

export const THREADS = { value: 0, help: "threads of an operation; 0: all processors" } as const;

/** An engine of as many threads as the flag says. */
export function engineOf(threads: number): Engine {
  return createEngine(threads === 0 ? {} : { threads });
}
