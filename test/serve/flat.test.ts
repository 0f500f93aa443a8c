/** @file Jobs whose forward passes take chats along: texts and adapters are those of each alone, killed or not. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Job } from "../../src/jobs/job.ts";
import { ADAPTER_FILE, trainAlone } from "../jobs/train-alone.ts";
import { waitFor } from "../process/wait-for.ts";
import { ServerProcess } from "../soak/server-process.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";
import { uploadOf } from "./upload.ts";

const root = temporaryFolder();
const data = writeTinyChats(join(root, "chats.jsonl"), 24);
const settings = { maxLength: 64, saveEvery: 4 };
const model = await writeTinyModel(join(root, "model"));
/** Of a job beside chats, and of one that is to be killed before its end. */
const [NUM_STEPS, NUM_STEPS_KILLED] = [8, 20];
const alone = (steps: number): Promise<Buffer> =>
  trainAlone({ ...settings, steps, model, data, output: join(root, `alone-${steps}`), batchSize: 2 });

/** Sends a request, and gives the JSON of its answer. */
type Send = (path: string, init?: RequestInit) => Promise<Response>;

class Client {
  readonly #send: Send;

  constructor(send: Send) {
    this.#send = send;
  }

  async #json<T>(path: string, init?: RequestInit): Promise<T> {
    const answer = await this.#send(`/v1${path}`, init);
    assert.equal(answer.status, 200, answer.ok ? "" : await answer.text());
    return (await answer.json()) as T;
  }

  #post<T>(path: string, body: object): Promise<T> {
    const headers = { "content-type": "application/json" };
    return this.#json(path, { method: "POST", body: JSON.stringify(body), headers });
  }

  async chat(content: string): Promise<string> {
    const asked = { model: "tiny", messages: [{ role: "user", content }], max_tokens: 12, temperature: 0 };
    const { choices } = await this.#post<{ choices: { message: { content: string } }[] }>(
      "/chat/completions",
      asked,
    );
    return choices[0]?.message.content ?? "";
  }

  async train(steps: number): Promise<string> {
    const file = await this.#json<{ id: string }>("/files", uploadOf(readFileSync(data)));
    const hyperparameters = { batch_size: 2 };
    const asked = {
      model: "tiny",
      training_file: file.id,
      seed: 3,
      hyperparameters,
      graft: { ...settings, steps },
    };
    return (await this.#post<Job>("/fine_tuning/jobs", asked)).id;
  }

  job(id: string): Promise<Job> {
    return this.#json(`/fine_tuning/jobs/${id}`);
  }

  /** What a job has told, newest first. */
  async told(id: string): Promise<string[]> {
    const path = `/fine_tuning/jobs/${id}/events?limit=100`;
    return (await this.#json<{ data: { message: string }[] }>(path)).data.map(({ message }) => message);
  }
}

const PROMPTS = ["ka", "lo mi", "ka lo mi ka lo"];
/** Of all prompts, one round after another. */
const ROUNDS_AT_ONCE = 8;
const ask = (client: Client): Promise<string[]> => Promise.all(PROMPTS.map((prompt) => client.chat(prompt)));

/** Chats, several at a time, until something is so; each is to be what it was before. */
async function chatUntil(
  client: Client,
  expected: readonly string[],
  isSo: () => Promise<boolean>,
): Promise<void> {
  do assert.deepEqual(await ask(client), expected);
  while (!(await isSo()));
}

/** Holds an adapter against that of a training alone: rows of several texts in one product are summed in another order. */
async function assertTrained(folder: string, id: string, steps: number): Promise<void> {
  const trained = readFileSync(join(folder, "jobs", id, "run", ADAPTER_FILE));
  const [found, expected] = [trained, await alone(steps)].map((bytes) => {
    const start = 8 + Number(bytes.readBigUInt64LE());
    return new Float32Array(Uint8Array.from(bytes.subarray(start)).buffer);
  });
  assert.equal(found!.length, expected!.length);
  const largest = Math.max(...expected!.map(Math.abs));
  assert.ok(largest > 0);
  for (const [i, value] of expected!.entries()) {
    assert.ok(Math.abs(found![i]! - value) < 1e-3 * largest, `${i}: ${found![i]}, alone ${value}`);
  }
}

const hasSucceeded = async (client: Client, id: string): Promise<boolean> => {
  const { status, error } = await client.job(id);
  assert.notEqual(status, "failed", JSON.stringify(error));
  return status === "succeeded";
};

/**
 * Chats until a job has succeeded. After some of them the job goes on alone to what it tells next: beside chats that never end a
 * step takes as long as fifty of them.
 */
async function chatToEnd(client: Client, expected: readonly string[], id: string): Promise<void> {
  let numTold = 0;
  const goesOn = async (): Promise<boolean> => (await client.told(id)).length > numTold;
  while (!(await hasSucceeded(client, id))) {
    for (let round = 0; round < ROUNDS_AT_ONCE; round++) assert.deepEqual(await ask(client), expected);
    await waitFor(async () => (await goesOn()) || (await hasSucceeded(client, id)));
    numTold = (await client.told(id)).length;
  }
}

test("chats beside a job go along with its passes, and are what they were", async () => {
  const server = await serveTiny(root, { coTraining: "flat" });
  after(() => server.close());
  await server.state.fineTuning?.start();
  const client = new Client(async (path, init) => await server.app.request(path, init));
  const expected = await ask(client);
  const { riders } = server.state.model.engine.session;
  assert.ok(riders);
  let numRides = 0;
  const board = riders.board.bind(riders);
  riders.board = async () => {
    const ride = await board();
    if (ride) numRides++;
    return ride;
  };
  const id = await client.train(NUM_STEPS);
  await chatUntil(client, expected, async () => numRides >= 4 || (await hasSucceeded(client, id)));
  await chatToEnd(client, expected, id);
  assert.ok(numRides > 0);
  await assertTrained(join(root, "state"), id, NUM_STEPS);
  assert.deepEqual(server.errors, []);
});

test("a server that is killed goes on with its job from a checkpoint, beside the same chats", async () => {
  const state = join(root, "killed");
  const words = ["--model", model, "--served-model-name", "tiny", "--chat-template", "chatml"];
  const flat = ["--co-training", "flat", "--compute", "f32", "--train-compute", "f32"];
  const server = new ServerProcess([...words, ...flat, "--state", state]);
  await server.start();
  const client = new Client((path, init) => fetch(`${server.url}${path}`, init));
  const expected = await ask(client);
  const id = await client.train(NUM_STEPS_KILLED);
  const isPastCheckpoint = async (): Promise<boolean> =>
    (await client.told(id)).some((message) => message.startsWith(`Step ${settings.saveEvery + 1}/`));
  await chatUntil(client, expected, isPastCheckpoint);
  await server.end("SIGKILL");
  await server.start();
  after(() => server.end("SIGTERM"));
  await waitFor(async () => (await client.job(id)).status !== "queued");
  await chatToEnd(client, expected, id);
  const told = await client.told(id);
  assert.ok(
    told.some((message) => /^Resuming after step \d+$/.test(message)),
    told.join("\n"),
  );
  await assertTrained(state, id, NUM_STEPS_KILLED);
});
