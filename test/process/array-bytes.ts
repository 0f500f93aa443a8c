/** @file Bytes of arrays that this process can still reach. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { findCollector } from "../../src/runtime/memory/find-collector.ts";

/** What is collected is freed beside the program, so that it is counted until it does not change any more, so often at most. */
const [STEADY, MOST] = [3, 30];

/** Collects garbage, and says what arrays are left, in bytes. */
export async function arrayBytes(): Promise<number> {
  const collect = findCollector()!;
  const counts: number[] = [];
  do {
    collect();
    await nextTurn();
    counts.push(process.memoryUsage().arrayBuffers);
  } while (counts.length < STEADY || (new Set(counts.slice(-STEADY)).size > 1 && counts.length < MOST));
  return counts.at(-1)!;
}
