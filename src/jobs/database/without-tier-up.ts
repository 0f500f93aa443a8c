/**
 * @file Compiles a program in WebAssembly once, for a fast start, and none of it anew for speed. V8 does that on another thread while the
 * program runs, and holds 600 MB for seconds over one function of PostgreSQL, whose statements take as long after it as before.
 */
import { setFlagsFromString } from "node:v8";

/** Functions that run often, one by one; without the first, all as soon as they are loaded, unless the second forbids it as well. */
const TIER_UP = ["wasm-dynamic-tiering", "wasm-tier-up"] as const;

/** Does what compiles a program; what it compiles is never compiled again. @throws as `compile` */
export async function withoutTierUp<T>(compile: () => Promise<T>): Promise<T> {
  for (const flag of TIER_UP) setFlagsFromString(`--no-${flag}`);
  try {
    return await compile();
  } finally {
    for (const flag of TIER_UP) setFlagsFromString(`--${flag}`);
  }
}
