/**
 * @file Has V8 compile programs in WebAssembly once, for a fast start, and nothing of them anew for speed. It does that on another thread while
 * they run, and holds 600 MB for seconds over one function of PostgreSQL, whose statements take as long after it as before.
 */
import { setFlagsFromString } from "node:v8";

/** Forbids it from here on, in all of the process: code that V8 drops when memory is short would come back otherwise. */
export function forbidTierUp(): void {
  // Functions that run often, one by one; without that all at the start, unless it is forbidden as well.
  for (const flag of ["--no-wasm-dynamic-tiering", "--no-wasm-tier-up"]) setFlagsFromString(flag);
}
