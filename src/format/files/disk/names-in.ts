/** @file What lies in a folder that need not be there. */
import { disk } from "./calls.ts";

/** Lists the names in a folder; none where it cannot be listed. */
export async function namesIn(folder: string): Promise<string[]> {
  return await disk()
    .readdir(folder)
    .catch(() => []);
}
