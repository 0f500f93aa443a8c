/** @file A file without a name whose pages are memory, open until the file of tests ends. */
import { after } from "node:test";
import { ShardFolder } from "../../src/train/files/folder/shard-folder.ts";
import type { PageFile } from "../../src/runtime/memory/retractable.ts";

/** Opens one in a folder. */
export async function openPageFile(folder: string): Promise<PageFile> {
  const shards = new ShardFolder(folder);
  after(() => shards.close());
  return await shards.openUnnamed();
}
