/** @file Lists a folder that may not exist. */
import { disk } from "./calls.ts";

/** Lists the names in a folder; none if it cannot be listed. */
export async function namesIn(folder: string): Promise<string[]> {
  return await disk()
    .readdir(folder)
    .catch(() => []);
}
