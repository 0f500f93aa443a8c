/** @file Jobs by OpenAI's own client: trained beside texts, asked for by name, stopped, resumed, and taken up by the next process. */
import assert from "node:assert/strict";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { listen } from "../../src/server/listening/listen.ts";
import { MemoryJobs } from "../jobs/memory-jobs.ts";
import { temporaryFolder, writeTinyChats } from "../tiny/model.ts";
import { type TinyOptions, type TinyServer, serveTiny } from "./tiny-server.ts";
import { openTextParts } from "../../src/engine/open-text-model.ts";
import { fingerprintOf } from "../../src/models/base/fingerprint.ts";
import { ADAPTER_FILE, trainAlone } from "../jobs/train-alone.ts";
import { waitFor } from "../process/wait-for.ts";

const root = temporaryFolder();
const chats = writeTinyChats(join(root, "chats.jsonl"), 24);

/** What a database would keep from one server to the next on the same folder. */
const tables = new Map<string, MemoryJobs>();
function tableOf(folder: string): MemoryJobs {
  const table = tables.get(folder) ?? new MemoryJobs();
  tables.set(folder, table);
  return table;
}

async function open(
  folder: string,
  options: TinyOptions = {},
): Promise<{ client: OpenAI; server: TinyServer; stop: () => Promise<void> }> {
  const server = await serveTiny(folder, { jobs: tableOf(folder), ...options });
  await server.state.fineTuning?.start();
  const { url, stop } = await listen(server.app, { host: "127.0.0.1", port: 0 });
  return {
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }),
    server,
    stop: async () => {
      await stop(0);
      await server.close();
    },
  };
}

const first = await open(root);
const { client, server } = first;
after(() => first.stop());

async function upload(text: string | Buffer = readFileSync(chats)): Promise<string> {
  const file = await toFile(Buffer.from(text), "chats.jsonl");
  return (await client.files.create({ file, purpose: "fine-tune" })).id;
}

/** Waits until a job is as it is wanted. */
function until(of: OpenAI, id: string, ...statuses: readonly string[]) {
  return waitFor(async () => {
    const job = await of.fineTuning.jobs.retrieve(id);
    if (statuses.includes(job.status)) return job;
    if (["failed", "succeeded", "cancelled"].includes(job.status)) {
      throw new Error(`the job is ${job.status}: ${JSON.stringify(job.error)}`);
    }
    return null;
  });
}

/** Id of the token that ends a text. */
const EOS = 257;
const SETTINGS = { maxLength: 64, saveEvery: 2, steps: 6 };
const request = (training_file: string, graft: object = SETTINGS): OpenAI.FineTuning.JobCreateParams =>
  ({
    model: "tiny",
    training_file,
    seed: 3,
    suffix: "lamp",
    method: { type: "supervised", supervised: { hyperparameters: { batch_size: 2 } } },
    graft,
  }) as OpenAI.FineTuning.JobCreateParams;

/** What the same training gives in a process of its own. */
function alone(name: string, more: object = {}): Promise<Buffer> {
  const places = { model: join(root, "model"), data: chats, output: join(root, name) };
  return trainAlone({ ...places, batchSize: 2, ...SETTINGS, ...more });
}

const trained = (id: string): Buffer => readFileSync(join(root, "state", "jobs", id, "run", ADAPTER_FILE));

test("a job trains beside texts, as in a process of its own, and its result is asked for by its name", async () => {
  const file = await upload();
  const samples = [{ prompt: "ka" }, "lo mi"];
  const settings = { ...SETTINGS, samples, sampleTokens: 8, evalEvery: 3 };
  const job = await client.fineTuning.jobs.create(request(file, settings));
  const answer = (model: string): Promise<string> =>
    client.completions
      .create({ model, prompt: "ka", max_tokens: 8, temperature: 0 })
      .then(({ choices }) => choices[0]?.text ?? "");
  const before = await answer("tiny");
  const done = await until(client, job.id, "succeeded");
  assert.match(done.fine_tuned_model ?? "", /^ft:tiny:graft:lamp:\w+$/);
  // 24 rows in batches of two are twelve steps an epoch, of which it takes six.
  const used = { n_epochs: 1, batch_size: 2, learning_rate_multiplier: 1 };
  assert.deepEqual(done.hyperparameters, used);
  assert.deepEqual(done.method, { type: "supervised", supervised: { hyperparameters: used } });
  assert.deepEqual(trained(job.id), await alone("alone"));
  assert.equal(await answer("tiny"), before);
  const written = await answer(done.fine_tuned_model!);
  const events = (await client.fineTuning.jobs.listEvents(job.id, { limit: 100 })).data;
  assert.equal(events.filter(({ type }) => type === "metrics").length, 6);
  assert.match(events.at(-1)?.message ?? "", /^Created/);
  const told = events
    .map(({ data }) => (data as { sample?: { step: number; prompt: string; text: string } } | null)?.sample)
    .filter((sample) => sample !== undefined)
    .toReversed();
  const places = told.map(({ step, prompt }) => `${step} ${prompt}`);
  assert.deepEqual(places, ["0 ka", "0 lo mi", "3 ka", "3 lo mi", "6 ka", "6 lo mi"]);
  assert.deepEqual([told[0]?.text, told[4]?.text], [before, written]);
  const [results = "", ...others] = done.result_files;
  assert.deepEqual(others, []);
  await assert.rejects(client.fineTuning.jobs.create({ model: "tiny", training_file: results }), {
    status: 400,
    param: "training_file",
    message: /has the purpose "fine-tune-results", expected "fine-tune"/,
  });
  const [head, ...rows] = (await (await client.files.content(results)).text()).trim().split("\n");
  assert.equal(head, "step,train_loss,valid_loss");
  const losses = events.flatMap(
    ({ data }) => (data as { train_loss?: number; learning_rate?: number } | null) ?? [],
  );
  assert.deepEqual(
    rows,
    losses
      .filter(({ learning_rate }) => learning_rate !== undefined)
      .toReversed()
      .map(({ train_loss }, i) => `${i + 1},${train_loss},`),
  );
  assert.equal((await client.files.retrieve(results)).purpose, "fine-tune-results");
  const checkpoints = (await client.fineTuning.jobs.checkpoints.list(job.id)).data;
  assert.deepEqual(
    checkpoints.map(({ step_number }) => step_number),
    [6, 4],
  );
  assert.ok(checkpoints.every(({ metrics }) => typeof metrics.train_loss === "number"));
  assert.ok(checkpoints.every(({ metrics }) => !("full_valid_mean_token_accuracy" in metrics)));
  const [last, previous] = checkpoints.map(({ created_at }) => created_at);
  assert.ok(job.created_at < previous! && previous! < last!);
  const listed = (await client.models.list()).data;
  assert.equal(listed.find(({ id }) => id === done.fine_tuned_model)?.created, done.finished_at);
  // What goes on from a result is named after the base, too, and a checkpoint can be removed by itself.
  const next = await client.fineTuning.jobs.create({
    ...request(file, { ...SETTINGS, steps: 1 }),
    model: done.fine_tuned_model!,
  });
  // Where it was paused before its first step, there is one that has learned nothing.
  const run = join(root, "state", "jobs", job.id, "run");
  cpSync(join(run, "checkpoint-6"), join(run, "checkpoint-0"), { recursive: true });
  const name = done.fine_tuned_model!;
  const gone = `${name}:ckpt-step-4`;
  assert.equal((await client.models.delete(gone)).deleted, true);
  const left = (await client.fineTuning.jobs.checkpoints.list(job.id)).data;
  assert.deepEqual(
    [
      left.map(({ step_number }) => step_number),
      (await client.models.list()).data
        .flatMap(({ id }) => (id.startsWith(name) ? [id.slice(name.length)] : []))
        .sort(),
    ],
    [[6], ["", ":ckpt-step-6"]],
  );
  const { fine_tuned_model: nextName } = await until(client, next.id, "succeeded");
  assert.match(nextName ?? "", /^ft:tiny:graft:lamp:\w+$/);
  assert.notEqual(nextName, name);
});

test("what a checkpoint tells of held-out data are the loss and the share of likeliest tokens that texts have by its name", async () => {
  const rows = (texts: readonly string[]): Promise<string> =>
    upload(texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  const heldOut = ["kakakaka", "kaka lo"];
  const learned = { steps: 20, learningRate: 0.05, evalEvery: 20, evalMetric: "token-accuracy" };
  const { id } = await client.fineTuning.jobs.create({
    ...request(await rows(["kakakakakaka", "kakaka"]), learned),
    validation_file: await rows(heldOut),
  });
  const { fine_tuned_model: model } = await until(client, id, "succeeded");
  let [numTokens, numLikeliest, sum] = [0, 0, 0];
  for (const text of heldOut) {
    const prompt = [...Buffer.from(text), EOS];
    const asked = { model: model!, prompt, echo: true, logprobs: 1, max_tokens: 0 };
    const { token_logprobs: own = [], top_logprobs: tops = [] } =
      (await client.completions.create(asked)).choices[0]?.logprobs ?? {};
    for (const [i, logProb] of own.entries()) {
      // Nothing comes before the first.
      if (i === 0) continue;
      numTokens++;
      sum -= logProb;
      if (logProb === Math.max(...Object.values(tops[i] ?? {}))) numLikeliest++;
    }
  }
  const [{ metrics } = assert.fail("no checkpoint")] = (await client.fineTuning.jobs.checkpoints.list(id))
    .data;
  assert.ok(numLikeliest > 0 && numLikeliest < numTokens, `${numLikeliest} of ${numTokens}`);
  assert.equal(metrics.full_valid_mean_token_accuracy, numLikeliest / numTokens);
  assert.ok(Math.abs((metrics.full_valid_loss ?? 0) - sum / numTokens) < 1e-5);
});

test("a job that goes on from an adapter has its method, and tells of it by its name", async () => {
  const own = await open(join(root, "going-on"));
  after(() => own.stop());
  const { client: of, server: from } = own;
  assert.equal(
    (await from.post("/v1/load_lora_adapter", { lora_name: "clerk", lora_path: "clerk" })).status,
    200,
  );
  const file = await of.files.create({
    file: await toFile(readFileSync(chats), "c.jsonl"),
    purpose: "fine-tune",
  });
  const create = (graft: object) =>
    of.fineTuning.jobs.create({ ...request(file.id, { maxLength: 64, steps: 1, ...graft }), model: "clerk" });
  await until(of, (await create({})).id, "succeeded");
  await until(of, (await create({ method: "road" })).id, "succeeded");
  await assert.rejects(create({ method: "lora" }), {
    status: 400,
    param: "graft.method",
    message: /"clerk" is of method road/,
  });
  const { id } = await create({ variant: "road_4" });
  await assert.rejects(until(of, id, "succeeded"), /adapter \\"clerk\\" with other settings: variant/);
  const told = [await of.fineTuning.jobs.retrieve(id), (await of.fineTuning.jobs.listEvents(id)).data];
  assert.ok(!JSON.stringify(told).includes(root), JSON.stringify(told));
});

test("a job that is paused and resumed, or taken up by the next process, ends bit for bit as one that never stopped", async () => {
  const file = await upload();
  const settings = { ...SETTINGS, method: "road", steps: 12 };
  const job = await client.fineTuning.jobs.create(request(file, settings));
  await until(client, job.id, "running");
  await client.fineTuning.jobs.pause(job.id);
  const again = client.fineTuning.jobs.pause(job.id);
  await assert.rejects(again, { status: 400, code: "job_is_paused" });
  const pauses = (await client.fineTuning.jobs.listEvents(job.id, { limit: 100 })).data;
  assert.equal(pauses.filter(({ message }) => message === "The job is paused").length, 1);
  assert.equal((await client.fineTuning.jobs.retrieve(job.id)).status, "paused");
  await client.fineTuning.jobs.resume(job.id);
  await until(client, job.id, "running", "succeeded");
  await first.stop();
  const second = await open(root);
  after(() => second.stop());
  const done = await until(second.client, job.id, "succeeded");
  assert.deepEqual(trained(job.id), await alone("whole", settings));
  const state = readFileSync(join(root, "whole", "checkpoint-12", "trainer_state.json"), "utf8");
  assert.equal(done.trained_tokens, (JSON.parse(state) as { trained_tokens: number }).trained_tokens);
  const names = (await second.client.models.list()).data.map(({ id }) => id);
  assert.equal(names.filter((name) => /^ft:.*:\d+$/.test(name)).length, 4);
  // What a job has trained can be removed, with its checkpoints; the base cannot.
  const result = done.fine_tuned_model!;
  assert.equal((await second.client.models.delete(result)).deleted, true);
  const left = (await second.client.models.list()).data.map(({ id }) => id);
  assert.ok(!left.some((name) => name.startsWith(result)));
  await assert.rejects(second.client.models.delete("tiny"), { status: 400, param: "model" });
});

test("a run that cannot be read keeps no other from being served", async () => {
  const folder = join(root, "fourth");
  const before = await open(folder);
  const file = await toFile(readFileSync(chats), "chats.jsonl");
  const { id } = await before.client.files.create({ file, purpose: "fine-tune" });
  const train = async () => {
    const job = await before.client.fineTuning.jobs.create(request(id, { ...SETTINGS, steps: 1 }));
    return await until(before.client, job.id, "succeeded");
  };
  const jobs = [await train(), await train()];
  await before.stop();
  const next = await serveTiny(folder, { jobs: tableOf(folder) });
  after(() => next.close());
  const { fineTuning } = next.state;
  fineTuning!.files.fetchRun = async (job) => {
    if (job === jobs[0]?.id) throw new Error("damaged");
    return true;
  };
  await fineTuning!.start();
  const names = next.state.models.list().map((model) => model.id);
  assert.deepEqual(
    jobs.map(({ fine_tuned_model: name }) => names.includes(name ?? "")),
    [false, true],
  );
  assert.deepEqual(next.errors.map(String), ["Error: damaged"]);
});

test("a file stays as long as a job needs it", async () => {
  const own = await open(join(root, "needed"));
  after(() => own.stop());
  const upload = async (): Promise<string> => {
    const file = await toFile(Buffer.from('{"text": "ka lo mi"}\n'.repeat(4)), "rows.jsonl");
    return (await own.client.files.create({ file, purpose: "fine-tune" })).id;
  };
  const [data, heldOut] = [await upload(), await upload()];
  const { jobs } = own.client.fineTuning;
  const { id } = await jobs.create({ ...request(data, { steps: 500 }), validation_file: heldOut });
  const refusal = { status: 409, code: "file_in_use", message: new RegExp(id) };
  await assert.rejects(own.client.files.delete(data), refusal);
  await jobs.pause(id);
  await assert.rejects(own.client.files.delete(heldOut), refusal);
  await jobs.cancel(id);
  await until(own.client, id, "cancelled");
  for (const file of [data, heldOut]) assert.equal((await own.client.files.delete(file)).deleted, true);
});

test("what is wrong with a job is told by the job, with the line", async () => {
  const third = await open(join(root, "third"));
  after(() => third.stop());
  const create = async (text: string, graft: object = {}, encoding: BufferEncoding = "utf8") => {
    const file = await toFile(Buffer.from(text, encoding), "rows.jsonl");
    const { id } = await third.client.files.create({ file, purpose: "fine-tune" });
    return await third.client.fineTuning.jobs.create({ ...request(id, graft) });
  };
  await assert.rejects(create('{"text": "ka"}\n{'), { status: 400, message: /Line 2/ });
  const notUtf8 = create('{"text": "ka"}\n{"text": "k\xE4"}\n', {}, "latin1");
  await assert.rejects(notUtf8, { status: 400, message: /Line 2 of "rows.jsonl" is not UTF-8/ });
  const faulty = await create('{"messages": [{"role": "nobody", "content": "ka"}]}\n');
  await assert.rejects(until(third.client, faulty.id, "succeeded"), /nobody/);
  // By the name that the file has for its owner, not by its place on the server.
  const told = await third.client.fineTuning.jobs.retrieve(faulty.id);
  assert.match(told.error?.message ?? "", /"rows\.jsonl"[^]*rows\.jsonl:1: /);
  assert.equal(told.error?.param, "training_file");
  const events = (await third.client.fineTuning.jobs.listEvents(faulty.id)).data;
  assert.ok(!JSON.stringify([told, events]).includes(root));
  for (const [key, value] of Object.entries({ output: "/tmp/x", power: "touch /tmp/x", base: "q8_0" })) {
    const refused = create('{"text": "ka lo mi"}\n', { [key]: value });
    await assert.rejects(refused, { status: 400, param: `graft.${key}`, message: /the server sets it/ });
  }
  for (const wrong of [
    { rank: 8, method: "ia3" },
    { beta: 0.1 },
    { momentum: 0.5 },
    { method: "full" },
    { objective: "classification" },
  ]) {
    const refused = create('{"text": "ka lo mi"}\n', wrong);
    await assert.rejects(refused, { status: 400, param: "graft", message: /Cannot use/ });
  }
  for (const [wrong, message] of [
    [{ targetModules: ["q_prj"] }, /target modules "q_prj": no module matches, the nearest is "q_proj"/],
    [{ method: "road", targetModules: ["embed_tokens"] }, /method "road" on "model.embed_tokens"/],
    [{ method: "lora", rankPattern: { o_prj: 2 } }, /"o_prj": no module matches/],
    [{ layers: [7] }, /the model has layers 0 to/],
    [{ maxLength: 513 }, /the model has 512 positions/],
    [{ steps: 6, warmupSteps: 6 }, /Cannot warm up over 6 steps: the run has 6, expected fewer/],
    [{ epochs: 1e300 }, /epochs is 1e\+300, expected a number above 0 and of at most 1000000/],
  ] as const) {
    const refused = create('{"text": "ka lo mi"}\n', wrong);
    await assert.rejects(refused, { status: 400, code: "invalid_value", param: "graft", message });
  }
  const file = await toFile(Buffer.from('{"text": "ka lo mi"}\n'), "rows.jsonl");
  const { id: fit } = await third.client.files.create({ file, purpose: "fine-tune" });
  const packed = { method: { type: "dpo" }, graft: { objective: "dpo", packing: true } };
  const ofPairs = { ...request(fit), ...packed } as OpenAI.FineTuning.JobCreateParams;
  await assert.rejects(third.client.fineTuning.jobs.create(ofPairs), {
    status: 400,
    param: "graft",
    message: /Cannot pack rows for objective "dpo"/,
  });
  const hyperparameters = { beta: 0.1 };
  for (const [param, own] of Object.entries({
    hyperparameters: { hyperparameters },
    "method.supervised.hyperparameters": { method: { type: "supervised", supervised: { hyperparameters } } },
  })) {
    const asked = { model: "tiny", training_file: fit, ...own } as OpenAI.FineTuning.JobCreateParams;
    const refused = third.client.fineTuning.jobs.create(asked);
    await assert.rejects(refused, { status: 400, param, message: /beta/ });
  }
  await assert.rejects(create(" \n\n"), { status: 400, message: /has no rows/ });
  const path = create('{"text": "ka lo mi"}\n', { samples: "/etc/hosts" });
  await assert.rejects(path, { status: 400, param: "graft.samples", message: /a list of prompts/ });
  await assert.rejects(third.client.fineTuning.jobs.cancel(faulty.id), {
    status: 400,
    code: "job_has_ended",
  });
  await assert.rejects(third.client.fineTuning.jobs.create(request("file-0none")), { status: 404 });
  for (const id of ["ftjob-..%2f..", "ftjob-\0", "ftjob-".padEnd(5000, "x")]) {
    await assert.rejects(third.client.fineTuning.jobs.retrieve(id), { status: 404 });
  }
  assert.deepEqual(server.errors, []);
});

test("a job shows what it trains with, in whichever form it was given", async () => {
  const own = await open(join(root, "shown"));
  after(() => own.stop());
  const file = await toFile(readFileSync(chats), "chats.jsonl");
  const { id: data } = await own.client.files.create({ file, purpose: "fine-tune" });
  const graft = { seed: 77, objective: "orpo", batchSize: 3, epochs: 2, maxLength: 64 };
  const asked = { model: "tiny", training_file: data, graft } as OpenAI.FineTuning.JobCreateParams;
  const { seed, method, hyperparameters } = await own.client.fineTuning.jobs.create(asked);
  const used = { n_epochs: 2, batch_size: 3, learning_rate_multiplier: "auto" };
  assert.deepEqual([seed, hyperparameters], [77, used]);
  assert.deepEqual(method, { type: "orpo", orpo: { hyperparameters: used } });
  const unlike = { ...asked, seed: 1 };
  await assert.rejects(own.client.fineTuning.jobs.create(unlike), { status: 400, param: "graft.seed" });
});

test("a job reads its data with the tokenizer that the server has open", async () => {
  const own = await open(join(root, "tokenizer"));
  after(() => own.stop());
  const { tokenizer } = own.server.state.model.parts;
  const encode = tokenizer.encode.bind(tokenizer);
  let numTexts = 0;
  tokenizer.encode = (...words) => {
    numTexts++;
    return encode(...words);
  };
  const file = await toFile(readFileSync(chats), "chats.jsonl");
  const { id: data } = await own.client.files.create({ file, purpose: "fine-tune" });
  const { id } = await own.client.fineTuning.jobs.create(request(data, { ...SETTINGS, steps: 1 }));
  await until(own.client, id, "succeeded");
  assert.ok(numTexts >= 24, `${numTexts} texts`);
});

test("a server rounds its base as it is told, for texts, for jobs and for whom workers know it by", async () => {
  const own = await open(join(root, "rounded"), { base: "q8_0" });
  after(() => own.stop());
  const { base } = own.server.state.model.parts;
  assert.equal(base.source.storageOf("model.layers.0.self_attn.q_proj.weight"), "q8_0");
  const model = join(root, "rounded", "model");
  const parts = await openTextParts(model, { base: "q8_0" });
  assert.equal(own.server.state.fineTuning?.fingerprint, await fingerprintOf(parts.base));
  await parts.checkpoint.close();
  const file = await toFile(readFileSync(chats), "chats.jsonl");
  const { id: data } = await own.client.files.create({ file, purpose: "fine-tune" });
  const codes = own.client.fineTuning.jobs.create(request(data, { method: "peqa" }));
  await assert.rejects(codes, { status: 400, param: "graft", message: /base q8_0 with method "peqa"/ });
  const { id } = await own.client.fineTuning.jobs.create(request(data));
  await until(own.client, id, "succeeded");
  const run = join(root, "rounded", "state", "jobs", id, "run");
  assert.deepEqual(
    readFileSync(join(run, ADAPTER_FILE)),
    await alone("rounded-alone", { model, base: "q8_0" }),
  );
});
