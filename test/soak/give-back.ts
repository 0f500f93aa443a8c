/**
 * @file For `--import` in a server: when it is told to, it gives back what it does not use, and says so in a line. What is left is used.
 *
 * By itself V8 keeps garbage, and all pages that its heap ever had, through ordinary collections too; the C library keeps what
 * was freed around them. Both grow as long as heaps come by chance that are larger than any before, which nothing tells from a leak.
 */
import { loadKoffi } from "../../src/runtime/load-koffi.ts";

const { gc } = globalThis;

/** Gives back free memory of the C library; does nothing where it has no such call. */
function trim(): void {
  try {
    loadKoffi().koffi.load(null).func("int malloc_trim(size_t pad)")(0);
  } catch {
    // Not glibc.
  }
}

process.on("SIGUSR2", () => {
  gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  trim();
  console.log(JSON.stringify({ event: "given-back" }));
});
