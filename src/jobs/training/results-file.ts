/**
 * @file The results of a job as a file that clients fetch, named in `result_files` as OpenAI has it: a table with a row for
 * each step, and one for what was held out before the first.
 */
import type { TrainEvent } from "../../train/events.ts";
import type { Job, UploadedFile } from "../job.ts";
import type { StateFolder } from "../state-folder.ts";

const COLUMNS = ["step", "train_loss", "valid_loss"];
/** OpenAI's word for what such files are for. */
const RESULTS_PURPOSE = "fine-tune-results";

/** The table; null: there was no step. */
function tableOf(history: readonly TrainEvent[]): string | null {
  const rows = new Map<number, { train?: number; valid?: number }>();
  for (const event of history) {
    if (event.event === "step") rows.set(event.step, { ...rows.get(event.step), train: event.loss });
    if (event.event === "eval") rows.set(event.step, { ...rows.get(event.step), valid: event.loss });
  }
  if (rows.size === 0) return null;
  const lines = [...rows].sort(([a], [b]) => a - b);
  const cells = lines.map(([step, { train = "", valid = "" }]) => `${step},${train},${valid}`);
  return `${[COLUMNS.join(), ...cells].join("\n")}\n`;
}

/**
 * Keeps the results of a job's run as a file, the same one however often it is asked; returns its id, or nothing where no
 * checkpoint tells of steps. @throws FailedError "failed/write"
 */
export async function keepResults(
  files: StateFolder,
  { id }: Job,
  run: string,
  seconds: number,
): Promise<string[]> {
  const table = tableOf(await files.readHistory(id, run));
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
