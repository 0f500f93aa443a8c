/** @file The flag for the number of threads with which programs run in this process. */
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { Engine } from "../../src/runtime/engine.ts";

export const THREADS = { value: 0, help: "threads of an operation; 0: all processors" } as const;

/** Makes an engine with the flag's number of threads. */
export function engineOf(threads: number): Engine {
  return createEngine(threads === 0 ? {} : { threads });
}
