/** @file `graft serve` as a process: it says where it listens, answers, and stops when it is told to. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ADAPTER_FILE, trainAlone } from "../../../test/jobs/train-alone.ts";
import { runMain } from "../../../test/process/run-main.ts";
import { writeTinyAdapter } from "../../../test/tiny/adapter.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../../test/tiny/model.ts";
import { writeTinyRows } from "../../../test/tiny/rows.ts";
import { waitFor } from "../../../test/process/wait-for.ts";
import { lockFolder } from "../../format/files/disk/folder-lock.ts";
import { adminKeys } from "../../server/access/api-keys.ts";
import { keyReader } from "../serving/server-keys.ts";
import { uploadOf } from "../../../test/serve/upload.ts";

const MAIN = fileURLToPath(new URL("../../../bin/graft.js", import.meta.url));
const root = temporaryFolder();
const model = await writeTinyModel(join(root, "small"));
const adapter = await writeTinyAdapter(model, join(root, "poet"), "ia3", 1);

/** Starts a server as a process, and waits until it listens. */
async function start(...words: readonly string[]) {
  const which = words.includes("--model") ? [] : ["--model", model];
  const all = ["serve", ...which, "--port", "0", "--threads", "1", "--json", ...words];
  const child = spawn(process.execPath, [MAIN, ...all]);
  const ended = once(child, "close") as Promise<[number | null]>;
  const errors = text(child.stderr);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const { value } = (await lines.next()) as { value: string | undefined };
  if (value === undefined) assert.fail(await errors);
  const first = JSON.parse(value) as { event: string; url: string };
  assert.equal(first.event, "listening");
  return { child, ended, lines, url: first.url, errors };
}

test("it says where it listens first, answers, and ends with status 0 at SIGTERM", async () => {
  const { child, ended, lines, url, errors } = await start("--adapter", adapter);
  const models = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
  assert.deepEqual(
    models.data.map(({ id }) => id),
    ["small", "poet"],
  );
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "poet", prompt: "ka", max_tokens: 3 }),
  });
  assert.equal(answer.status, 200);
  child.kill("SIGTERM");
  const [status] = await ended;
  assert.equal(status, 0, await errors);
  assert.deepEqual(JSON.parse((await lines.next()).value!), { event: "stopped" });
});

test("at SIGTERM streams go on to their ends, nothing new is taken, and what takes too long is cut off", async () => {
  const { child, ended, url, errors } = await start("--drain-seconds", "600");
  const ask = (max_tokens: number): Promise<Response> =>
    fetch(`${url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "small", prompt: "ka", max_tokens, stream: true, temperature: 0 }),
    });
  const answers = await Promise.all([ask(300), ask(200), ask(100)]);
  child.kill("SIGTERM");
  const texts = Promise.all(answers.map((answer) => answer.text()));
  // Whoever comes now is refused by the server, or finds none.
  const late = await ask(1).then(
    ({ status }) => status,
    () => 503,
  );
  assert.ok(late === 503 || late === 200);
  const counts = (await texts).map((body) => {
    assert.match(body, /"finish_reason":"length"[^]*data: \[DONE\]\n\n$/);
    return body.match(/^data: \{/gm)?.length;
  });
  assert.deepEqual(counts, [301, 201, 101]);
  const [status] = await ended;
  assert.equal(status, 0, await errors);
  const hasty = await start("--drain-seconds", "0");
  const cut = await fetch(`${hasty.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "small", prompt: "ka", max_tokens: 480, stream: true, temperature: 0 }),
  });
  hasty.child.kill("SIGTERM");
  assert.match(await cut.text(), /"code":"stopping"\}\}\n\ndata: \[DONE\]\n\n$/);
  const [hastyStatus] = await hasty.ended;
  assert.equal(hastyStatus, 0, await hasty.errors);
});

test("a job whose server was killed goes on in the next, bit for bit as one that never stopped", async () => {
  const state = join(root, "state");
  const words = ["--state", state, "--chat-template", "chatml"];
  const data = writeTinyChats(join(root, "chats.jsonl"), 24);
  const settings = { steps: 12, batchSize: 2, maxLength: 64, saveEvery: 3 };
  const killed = await start(...words);
  const read = async (path: string, init: RequestInit = {}): Promise<Record<string, unknown>> =>
    (await (await fetch(path, init)).json()) as Record<string, unknown>;
  const { id: file } = await read(`${killed.url}/v1/files`, uploadOf(readFileSync(data)));
  const { id } = await read(`${killed.url}/v1/fine_tuning/jobs`, {
    method: "POST",
    body: JSON.stringify({ model: "small", training_file: file, seed: 3, graft: settings }),
  });
  const run = join(state, "jobs", id as string, "run");
  await waitFor(() => existsSync(join(run, "checkpoint-3")));
  killed.child.kill("SIGKILL");
  await killed.ended;
  assert.ok((await killed.errors).includes(`making the database of jobs in ${join(state, "db")}\n`));
  const next = await start(...words);
  const job = await waitFor(async () => {
    const told = await read(`${next.url}/v1/fine_tuning/jobs/${id as string}`);
    return ["succeeded", "failed", "cancelled"].includes(told["status"] as string) && told;
  });
  assert.equal(job["status"], "succeeded", JSON.stringify(job["error"]));
  next.child.kill("SIGTERM");
  await next.ended;
  // What jobs have trained is there from the first request on.
  const third = await start(...words);
  const models = (await read(`${third.url}/v1/models`)) as { data: { id: string }[] };
  assert.ok(models.data.some(({ id: model }) => model === job["fine_tuned_model"]));
  const files = [file as string];
  for (const name of ["one", "two", "three", "four", "five", "six"])
    files.push(
      (await read(`${third.url}/v1/files`, uploadOf(JSON.stringify({ text: name }))))["id"] as string,
    );
  for (const [order, listed] of [
    ["asc", files],
    ["desc", files.toReversed()],
  ] as const) {
    const { data: found } = await read(`${third.url}/v1/files?purpose=fine-tune&order=${order}`);
    assert.deepEqual(
      (found as { id: string }[]).map(({ id }) => id),
      listed,
    );
  }
  third.child.kill("SIGTERM");
  await third.ended;
  const expected = await trainAlone({ ...settings, model, data, output: join(root, "whole") });
  assert.deepEqual(readFileSync(join(run, ADAPTER_FILE)), expected);
});

test("an address that others reach needs a key, and an adapter that is none is refused", async () => {
  const open = await runMain(["serve", "--model", model, "--host", "0.0.0.0"], {});
  assert.equal(open.status, 2);
  assert.match(open.stderr, /without an API key/);
  const none = await runMain(["serve", "--model", model, "--adapter", `x=${join(root, "none")}`], {});
  assert.notEqual(none.status, 0);
  assert.match(none.stderr, /none/);
});

test("flags that could never do are refused before anything is opened", async () => {
  const state = ["--state", join(root, "never"), "--database", "postgres://db/graft"];
  const cases: readonly (readonly [flag: string, value: string, told: RegExp, ...others: string[]])[] = [
    ["--database", "postgres://db/graft", /Cannot use --database without --state/],
    ...[
      "--max-jobs 3",
      "--concurrent-jobs 2",
      "--train-compute f32",
      "--policy serve-first",
      "--co-training slices",
    ]
      .map((words) => words.split(" "))
      .map(
        ([flag = "", value = ""]) => [flag, value, new RegExp(`Cannot use ${flag} without --state`)] as const,
      ),
    [
      "--concurrent-jobs",
      "2",
      /Cannot use --concurrent-jobs with --database: workers train the jobs/,
      ...state,
    ],
    ["--co-training", "slices", /Cannot use --co-training with --database/, ...state],
    [
      "--adapter-root",
      join(root, "none"),
      /Cannot load adapters from ".*none": no such file, expected a folder/,
    ],
    ["--adapter-root", join(model, "config.json"), /it is a file, expected a folder/],
    ["--cors", "https://example.org/", /expected an origin such as https:\/\/example\.org, without a path/],
    ["--cors", "example.org", /expected an origin/],
    ["--request-timeout", "1e9", /expected a number/],
    ["--drain-seconds", "1e9", /expected a number/],
    ["--adapter", "runs/a/final,runs/b/final", /two are named "final"/],
    ["--adapter", "q=", /Cannot read --adapter: "q=", expected NAME=FOLDER or a folder/],
    ["--adapter", "a\nb=runs/a", /expected a name on one line/],
    ["--served-model-name", "a\nb", /served-model-name.*, expected a name on one line/],
    ["--database", "mysql://db/graft", /expected a URL that begins with postgres:\/\//],
  ];
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const second = await runMain(["serve", "--model", join(root, "missing"), "--port", `${port}`], {});
  assert.equal(second.status, 1);
  assert.match(second.stderr, /Cannot listen on 127\.0\.0\.1:\d+: another program is listening there/);
  for (const [flag, value, told, ...others] of cases) {
    const words = ["serve", "--model", join(root, "missing"), flag, value, ...others];
    const { status, stderr } = await runMain(words, {});
    assert.equal(status, 2, flag);
    assert.match(stderr, told);
  }
});

test("keys are held to the same wherever they are given, and no message shows one, nor a password", async () => {
  const settings = join(root, "keys.yaml");
  writeFileSync(settings, "apiKey: 7654321\n");
  const [database, secret] = ["postgresq://u:hidden7@db/graft", /7654321|hidden7|s3cret/];
  const cases: readonly (readonly [words: readonly string[], keys: string, told: RegExp])[] = [
    [
      ["--api-key", "s3cret"],
      "",
      /--api-key is text of 6 characters \(not shown\), expected text of at least 8/,
    ],
    [["--api-key", "s3cret and more"], "", /--api-key is text of 15 .* without spaces/],
    [["--config", settings], "", /key "apiKey" of .*keys\.yaml is a number \(not shown\), expected text/],
    [["--database", database], "", /--database is text of 30 characters \(not shown\), expected a URL/],
    [["--database", database, "--database", database], "", /--database is given twice, expected one value/],
    [[], "longenough1, s3cret", /GRAFT_API_KEY\.1 is text of 6 characters \(not shown\), expected text of/],
  ];
  for (const [words, GRAFT_API_KEY, told] of cases) {
    const all = ["serve", "--model", join(root, "missing"), ...words];
    const { status, stderr } = await runMain(all, { GRAFT_API_KEY });
    assert.equal(status, 2, stderr);
    assert.match(stderr, told);
    assert.doesNotMatch(stderr, secret);
  }
  const read = keyReader({ apiKey: [], state: undefined }, { GRAFT_API_KEY: "longenough1, longenough2," });
  assert.deepEqual(await read(), adminKeys(["longenough1", "longenough2"]));
});

test("a folder of state is one server's, unless it is but files beside a database that others use", async () => {
  const state = join(root, "held");
  mkdirSync(state);
  const lock = await lockFolder(state);
  assert.ok("release" in lock);
  const database = ["--database", "postgres://db/graft"];
  const cases = [
    { words: [], told: /is working in it/ },
    { words: [...database, "--store", "s3://bucket"], told: /is working in it/ },
    { words: database, told: /missing/ },
  ];
  for (const { words, told } of cases) {
    const all = ["serve", "--model", join(root, "missing"), "--state", state, ...words];
    assert.match((await runMain(all, {})).stderr, told);
  }
  await lock.release();
});

test("a model of classes, or an adapter that is, is served at /classify, and trains no jobs", async () => {
  const path = await writeTinyModel(join(root, "judge"), {
    modelType: "bert",
    config: { id2label: { 0: "bad", 1: "good" } },
  });
  const { child, ended, url, errors } = await start("--model", path);
  const body = JSON.stringify({ model: "judge", input: "ka" });
  const answer = await fetch(`${url}/classify`, { method: "POST", body });
  assert.equal(answer.status, 200);
  child.kill("SIGTERM");
  assert.equal((await ended)[0], 0, await errors);
  const data = writeTinyRows(join(root, "rows.jsonl"), "classes", 8);
  const judge = join(root, "reviews");
  const words = ["--model", model, "--threads", "1"];
  const learn = ["--objective", "classification", "--data", data, "--steps", "1", "--output", judge];
  const trained = await runMain(["train", ...words, ...learn], {});
  assert.equal(trained.status, 0, trained.stderr);
  const state = join(root, "no-jobs");
  const { status, stderr } = await runMain(["serve", ...words, "--adapter", judge, "--state", state], {});
  assert.equal(status, 2);
  assert.match(stderr, /Cannot use --state with a classification model/);
});
