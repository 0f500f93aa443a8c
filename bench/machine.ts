/** @file Where a measurement was taken: commit, machine, versions. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";

import type { Json } from "./bench.ts";

/** The folder of the project. */
export const ROOT = join(import.meta.dirname, "..");

function git(...args: readonly string[]): string | null {
  try {
    return execFileSync("git", args, {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return null;
  }
}

/** Commit of the checkout and whether files differ from it; nulls outside a repository. */
export function readCommit(): { commit: string | null; dirty: boolean | null } {
  const status = git("status", "--porcelain");
  return { commit: git("rev-parse", "HEAD"), dirty: status === null ? null : status !== "" };
}

/** Processor, cores and memory. */
export function describeMachine(): Readonly<Record<string, Json>> {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memory_gb: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
  };
}

/** Load above which a comparison is not fair: threads that wait for each other in a loop suffer most from a busy machine. */
export const BUSY_LOAD = 0.5;

/** How many processes wanted a processor during the last minute, on average; 0 where the system does not tell. */
export function readLoad(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2));
}

/** Versions that every benchmark has. */
export function ownVersions(): Readonly<Record<string, string>> {
  const manifest = join(ROOT, "node_modules", "onnxruntime-node", "package.json");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  return { node: process.versions.node, onnxruntime: version };
}
