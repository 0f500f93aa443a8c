/** @file The disk of a server that runs full: a small one, where one can be mounted. */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { uploadOf } from "../serve/upload.ts";

/** Mounts a small disk as a folder, where that may be done. */
export function mountSmall(folder: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256m", "tmpfs", folder], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Takes the small disk away again, if there is one. */
export function unmountSmall(folder: string): void {
  const isMounted = readFileSync("/proc/mounts", "utf8").includes(folder);
  if (isMounted) execFileSync("umount", ["-l", folder]);
}

/** Uploads while there is no room: an error object; and afterwards, when there is again. */
export async function fillDisk(url: string, folder: string): Promise<string> {
  const filler = join(folder, "filler");
  const upload = async (): Promise<[number, string]> => {
    const answer = await fetch(`${url}/v1/files`, uploadOf(`{"text": "${"ka ".repeat(100_000)}"}\n`));
    return [answer.status, await answer.text()];
  };
  try {
    // Not at once: a client that stands still for seconds is late, and its connections are closed.
    for (let i = 0; ; i++) await writeFile(`${filler}${i}`, Buffer.alloc(1 << 20));
  } catch {
    // Full.
  }
  const [status, text] = await upload();
  const { error } = JSON.parse(text) as { error?: { code: string } };
  for (let i = 0; i < 300; i++) rmSync(`${filler}${i}`, { force: true });
  const [after] = await upload();
  if (status !== 503 || error?.code !== "failed/write" || after !== 200) {
    throw new Error(`a full disk: ${status} ${text}, then ${after}`);
  }
  return error.code;
}
