/** @file Where a measurement was taken: commit, machine, versions. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

import { describeProcessor } from "../../src/train/files/processor.ts";
import type { Json } from "../bench.ts";

/** The folder of the project. */
export const ROOT = join(import.meta.dirname, "../..");

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
    cpu: describeProcessor(),
    cores: availableParallelism(),
    memory_gb: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
  };
}

/**
 * Share of the processors' time in use above which a comparison is not fair: threads that wait for each other in a loop suffer
 * most from other load.
 */
export const BUSY_SHARE = 0.1;

/** How long the load of the machine is measured. */
const LOOK_MS = 2000;

/** Share of the processors' time in use during two seconds in which this process is idle. */
export async function readBusyShare(): Promise<number> {
  const before = processorTimes();
  await setTimeout(LOOK_MS);
  const after = processorTimes();
  const total = after.total - before.total;
  return total === 0 ? 0 : Number((1 - (after.idle - before.idle) / total).toFixed(3));
}

function processorTimes(): { readonly idle: number; readonly total: number } {
  const times = cpus().map((processor) => processor.times);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return { idle: sum(times.map(({ idle }) => idle)), total: sum(times.flatMap((of) => Object.values(of))) };
}

/** Why results should not be saved: uncommitted changes, or a busy machine if times are measured; null: no reason. */
export function whyNotKept(
  { dirty }: { readonly dirty: boolean | null },
  busyShare: number,
  ignoresLoad: boolean,
): string | null {
  if (dirty !== false) return "the files are those of no commit, expected a clean checkout";
  if (ignoresLoad || busyShare <= BUSY_SHARE) return null;
  return `other processes use ${Math.round(100 * busyShare)} % of the processors, expected at most ${100 * BUSY_SHARE} %`;
}

/** Versions that every benchmark has. */
export function ownVersions(): Readonly<Record<string, string>> {
  const manifest = join(ROOT, "node_modules", "onnxruntime-node", "package.json");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  return { node: process.versions.node, onnxruntime: version };
}
