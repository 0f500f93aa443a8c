/** @file An adapter as a folder, without what only a run knows. */
import { adapterFiles } from "../../src/format/adapters/adapter.ts";
import type { LoadedModel } from "../../src/format/by-path.ts";
import { writeFolderAtomic } from "../../src/format/files/atomic.ts";
import type { Adapter } from "../../src/peft/attach.ts";

/** Writes an adapter to a folder; gives its path. */
export async function saveAdapter(
  path: string,
  adapter: Adapter,
  { base, checkpoint }: LoadedModel,
  chatTemplateHash: string | null = null,
): Promise<string> {
  await writeFolderAtomic(path, adapterFiles(adapter, { base, checkpoint, chatTemplateHash }));
  return path;
}
