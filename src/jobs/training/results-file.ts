/**
 * @file The results of a job as a file that clients download, named in `result_files` as by OpenAI: a table with a row for each
 * step (the mean of all shares, if there are several), and one for the evaluation before the first step.
 */
import type { UploadedFile } from "../job.ts";
import type { JobRow } from "../job-table.ts";
import type { LoggedEvent } from "../logged-event.ts";
import { folderOf } from "../queue/shares.ts";
import type { StateFolder } from "../state-folder.ts";

const COLUMNS = ["step", "train_loss", "valid_loss"];
/** OpenAI's purpose of such files. */
const RESULTS_PURPOSE = "fine-tune-results";

/** A run of a job, and its weight among the others. */
interface WeightedRun {
  readonly folder: string;
  readonly weight: number;
}

interface Told {
  readonly history: readonly LoggedEvent[];
  readonly weight: number;
}

/** The weighted mean of the losses of several runs, for each step. */
function lossesOf(runs: readonly Told[], what: "step" | "eval"): Map<number, number> {
  const sums = new Map<number, { loss: number; weight: number }>();
  for (const { history, weight } of runs) {
    // Each step once, with its last value.
    const own = new Map(history.flatMap((event) => (event.event === what ? [[event.step, event.loss]] : [])));
    for (const [step, loss] of own) {
      const sum = sums.get(step) ?? { loss: 0, weight: 0 };
      sums.set(step, { loss: sum.loss + weight * loss, weight: sum.weight + weight });
    }
  }
  return new Map([...sums].map(([step, { loss, weight }]) => [step, loss / weight]));
}

/** The table as text; null: there is no step. */
function tableOf(runs: readonly Told[]): string | null {
  const [train, valid] = [lossesOf(runs, "step"), lossesOf(runs, "eval")];
  const steps = [...new Set([...train.keys(), ...valid.keys()])].sort((a, b) => a - b);
  if (steps.length === 0) return null;
  const lines = steps.map((step) => `${step},${train.get(step) ?? ""},${valid.get(step) ?? ""}`);
  return `${[COLUMNS.join(), ...lines].join("\n")}\n`;
}

/** The runs whose losses are those of a job: its own, or that of each share, weighted by examples. */
function runsOf(row: JobRow): WeightedRun[] {
  if (row.shares.length === 0) return [{ folder: folderOf(row), weight: 1 }];
  return row.shares.map(({ folder, done }) => ({ folder, weight: done?.examples ?? 0 }));
}

/**
 * Stores the results of a job's runs as a file, with the same id at every call; returns its id, or nothing if no checkpoint
 * contains steps. @throws FailedError "failed/write"
 */
export async function keepResults(files: StateFolder, row: JobRow, seconds: number): Promise<string[]> {
  const { id } = row.job;
  const told = runsOf(row).map(async ({ folder, weight }) => ({
    history: await files.readHistory(id, folder),
    weight,
  }));
  const table = tableOf(await Promise.all(told));
  if (table === null) return [];
  const content = new TextEncoder().encode(table);
  const file: UploadedFile = {
    id: id.replace(/^ftjob-/, "file-results-"),
    object: "file",
    bytes: content.length,
    created_at: seconds,
    filename: "step_metrics.csv",
    purpose: RESULTS_PURPOSE,
    status: "processed",
  };
  await files.addFile(file, content);
  return [file.id];
}
