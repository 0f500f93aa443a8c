/**
 * @file Lets V8 compile WebAssembly only once, for a fast start, and never again for speed. Recompiling runs on another thread
 * and takes 600 MB for seconds for one function of PostgreSQL, whose statements are no faster afterwards.
 */
import { setFlagsFromString } from "node:v8";

/** Forbids recompiling in the whole process from now on: otherwise V8 would do it again after it drops code for lack of memory. */
export function forbidTierUp(): void {
  // The first flag forbids recompiling single functions when they run often, the second recompiling everything at the start.
  for (const flag of ["--no-wasm-dynamic-tiering", "--no-wasm-tier-up"]) setFlagsFromString(flag);
}
