/** @file Loads koffi, which calls C, with stacks that are large enough for what is called. */
import { createRequire } from "node:module";
import type * as Koffi from "koffi";

/** Stack of a call, as large as a thread's. Koffi's default of 128 KiB for asynchronous calls is less than packing a product takes. */
const STACK_BYTES = 8 << 20;

interface LoadedKoffi {
  readonly koffi: typeof Koffi;
  /** Whether asynchronous calls have the stack that they need. */
  readonly canCallAsync: boolean;
}

let loaded: LoadedKoffi | null = null;

/** Loads koffi once: its settings cannot be changed after the first library is loaded. @throws Error where koffi has no build */
export function loadKoffi(): LoadedKoffi {
  return (loaded ??= load());
}

function load(): LoadedKoffi {
  // Calls through koffi crash Bun with a segmentation fault (Bun 1.4, koffi 3.3).
  if ("Bun" in globalThis) throw new Error("koffi is not for Bun");
  const koffi = createRequire(import.meta.url)("koffi") as typeof Koffi;
  try {
    koffi.config({ ...koffi.config(), sync_stack_size: STACK_BYTES, async_stack_size: STACK_BYTES });
  } catch {
    // Another module has already loaded a library, so the settings are fixed.
  }
  return { koffi, canCallAsync: (koffi.config().async_stack_size ?? 0) >= STACK_BYTES };
}
