/**
 * @file Where the parameters of a run are: in memory, or within a budget of it, and what does not fit waits in the run's folder. Numbers
 * that change are in pages of a file, where the system has these; what is read of the model's files is in pages that move.
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
  /** Bytes in memory; null: as many as there are. */
  readonly budgetBytes: number | null;
  readonly frozenDtype: ShardDtype | undefined;
  /** Bytes of it that are taken by what stays. */
  readonly takenBytes: number;
}

/** Does work on such memory; the folder is the caller's, to be closed after. @throws FailedError "failed/write" */
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
