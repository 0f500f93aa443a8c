/** @file The jobs of a soak: whatever happens to the server, each ends once, with the bytes of a training that nothing disturbed. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Random } from "../../src/random.ts";
import { train } from "../../src/train/trainer.ts";
import type { Tally } from "./clients.ts";
import { uploadOf } from "../serve/upload.ts";

export interface SoakJob {
  readonly id: string;
  readonly settings: { readonly method: string; readonly steps: number };
}

const SETTINGS = { batchSize: 2, maxLength: 64, saveEvery: 10 };
const SEED = 3;

interface ToldJob {
  readonly status: string;
  readonly trained_tokens: number;
  readonly error: unknown;
}

async function ask<T>(url: string, init: RequestInit = {}): Promise<T> {
  const answer = await fetch(url, init);
  const told: unknown = await answer.json();
  if (!answer.ok) throw new Error(`${answer.status}: ${JSON.stringify(told)}`);
  return told as T;
}

export async function submitJob(url: string, data: string, settings: SoakJob["settings"]): Promise<SoakJob> {
  const { id: file } = await ask<{ id: string }>(`${url}/v1/files`, uploadOf(readFileSync(data)));
  const body = { model: "tiny", training_file: file, seed: SEED, graft: { ...SETTINGS, ...settings } };
  const init = { method: "POST", body: JSON.stringify(body) };
  const { id } = await ask<{ id: string }>(`${url}/v1/fine_tuning/jobs`, init);
  return { id, settings };
}

/** Begins a job, stops and resumes it perhaps, and cancels it at some moment: that is what becomes of it, unless it was done. */
export async function cancelJob(url: string, data: string, random: Random, tally: Tally): Promise<void> {
  const { id } = await submitJob(url, data, { method: "ia3", steps: 1000 });
  const jobUrl = `${url}/v1/fine_tuning/jobs/${id}`;
  const post = (what: string): Promise<ToldJob> => ask<ToldJob>(`${jobUrl}/${what}`, { method: "POST" });
  await wait(random.integer(3000));
  if (random.integer(2) === 0) {
    await post("pause");
    await wait(random.integer(500));
    if (random.integer(2) === 0) await post("resume");
  }
  await post("cancel");
  await wait(random.integer(1000));
  const { status } = await ask<ToldJob>(jobUrl);
  if (status !== "cancelled") tally.faults.push(`job ${id} was cancelled and is ${status}`);
  tally.numCancelled++;
}

interface Places {
  readonly root: string;
  readonly model: string;
  readonly chats: string;
  readonly state: string;
}

/** Waits for the end of a job, and says what is wrong with it. */
export async function checkJob(url: string, { id, settings }: SoakJob, places: Places): Promise<string[]> {
  let job: ToldJob;
  for (;;) {
    job = await ask<ToldJob>(`${url}/v1/fine_tuning/jobs/${id}`);
    if (["succeeded", "failed", "cancelled"].includes(job.status)) break;
    await wait(200);
  }
  if (job.status !== "succeeded") return [`job ${id} is ${job.status}: ${JSON.stringify(job.error)}`];
  const { root, model, chats, state } = places;
  const output = join(root, `alone-${settings.method}`);
  const more = { threads: 1, weights: "float32", chatTemplate: "chatml" } as const;
  const alone = await train({ ...SETTINGS, ...settings, ...more, model, data: chats, output, seed: SEED });
  const faults: string[] = [];
  if (job.trained_tokens !== alone.trained_tokens) {
    faults.push(`job ${id} counts ${job.trained_tokens} tokens, alone ${alone.trained_tokens}`);
  }
  const file = "adapter_model.safetensors";
  // A run whose process was lost goes on in a copy.
  const runs = readdirSync(join(state, "jobs", id)).filter((name) => name.startsWith("run"));
  const expected = readFileSync(join(output, file));
  const isSame = runs.some((run) => {
    const folder = join(state, "jobs", id, run);
    return readdirSync(folder).includes(file) && readFileSync(join(folder, file)).equals(expected);
  });
  if (!isSame) faults.push(`job ${id} has other bytes than a training that nothing disturbed`);
  const events = await ask<{ data: { message: string }[] }>(
    `${url}/v1/fine_tuning/jobs/${id}/events?limit=100`,
  );
  const ends = events.data.filter(({ message }) => message.startsWith("The job has succeeded"));
  if (ends.length !== 1) faults.push(`job ${id} has ended ${ends.length} times`);
  return faults;
}
