/** @file Loads koffi, which calls C, with stacks that are large enough for what is called. */
import { createRequire } from "node:module";
import type * as Koffi from "koffi";

/** Stack of a call. Koffi's own 128 KiB of an asynchronous one are less than packing a product takes; a thread has this. */
const STACK_BYTES = 8 << 20;

interface LoadedKoffi {
  readonly koffi: typeof Koffi;
  /** Whether asynchronous calls have the stack that they need. */
  readonly canCallAsync: boolean;
}

let loaded: LoadedKoffi | null = null;

/** Loads koffi once: its settings cannot be changed after the first library. @throws Error where it has no build */
export function loadKoffi(): LoadedKoffi {
  return (loaded ??= load());
}

function load(): LoadedKoffi {
  // Its calls end Bun with a segmentation fault (Bun 1.4, koffi 3.3).
  if ("Bun" in globalThis) throw new Error("koffi is not for Bun");
  const koffi = createRequire(import.meta.url)("koffi") as typeof Koffi;
  try {
    koffi.config({ ...koffi.config(), sync_stack_size: STACK_BYTES, async_stack_size: STACK_BYTES });
  } catch {
    // Somebody else's library came first.
  }
  return { koffi, canCallAsync: (koffi.config().async_stack_size ?? 0) >= STACK_BYTES };
}
