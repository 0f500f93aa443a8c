/**
 * @file Where the parameters of a run are: all in memory, or within a memory budget, and those that do not fit wait in the run's folder.
 * Trained numbers are in mapped pages of a file, if the system supports these; weights from the model's files are in movable pages.
 */
import { FilePages, canBringPages } from "../../../runtime/memory/file-pages.ts";
import { LargePages } from "../../../runtime/memory/large-pages.ts";
import type { Pages } from "../../../runtime/memory/retractable.ts";
import { ShardMemory } from "../../../runtime/memory/shard-memory.ts";
import {
  type MemorySpec,
  RESIDENT,
  type ShardDtype,
  type VectorMemory,
} from "../../../runtime/memory/vector-memory.ts";
import type { ShardFolder } from "./shard-folder.ts";

interface ParameterMemoryOptions {
  /** Bytes in memory; null: no limit. */
  readonly budgetBytes: number | null;
  readonly frozenDtype: ShardDtype | undefined;
  /** Bytes of the budget taken by what always stays in memory. */
  readonly takenBytes: number;
}

/** Runs work with such memory; the caller owns the folder and closes it afterwards. @throws FailedError "failed/write" */
export async function withParameterMemory<T>(
  shards: ShardFolder,
  { budgetBytes, ...options }: ParameterMemoryOptions,
  work: (memory: VectorMemory) => Promise<T>,
): Promise<T> {
  if (budgetBytes === null) return await work(RESIDENT);
  const ofFile = canBringPages() ? new FilePages(() => shards.openUnnamed()) : null;
  const moving = new LargePages();
  const reserve = ({ sizeBytes, load }: MemorySpec): Pages | null =>
    (load ? null : ofFile?.reserve(sizeBytes)) ?? moving.reserve(sizeBytes);
  try {
    return await work(new ShardMemory(budgetBytes, shards, { ...options, reserve }));
  } finally {
    await ofFile?.close();
  }
}
