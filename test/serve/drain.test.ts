/** @file Requests that were begun when a server is told to stop: they are answered, with what they asked for kept. */
import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { JobTable } from "../../src/jobs/job-table.ts";
import type { Job, UploadedFile } from "../../src/jobs/job.ts";
import { drain } from "../../src/server/listening/drain.ts";
import { listen } from "../../src/server/listening/listen.ts";
import { MemoryJobs } from "../jobs/memory-jobs.ts";
import { reachedUnless } from "../jobs/training-workers.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { exchange, openSocket, postText, receive } from "./raw-socket.ts";
import { serveTiny } from "./tiny-server.ts";

/** A table that nobody reaches once it is closed, as that of a database. */
function closable(inner: MemoryJobs): JobTable {
  let isClosed = false;
  const reached = reachedUnless(() => isClosed, inner);
  return new Proxy(reached, {
    get: (target, key: keyof JobTable) =>
      key === "close" ? async () => void (isClosed = true) : target[key],
  });
}

const BOUNDARY = "a-boundary";
const FORM = [
  `--${BOUNDARY}`,
  'Content-Disposition: form-data; name="purpose"',
  "",
  "fine-tune",
  `--${BOUNDARY}`,
  'Content-Disposition: form-data; name="file"; filename="a.jsonl"',
  "",
  '{"text": "ka"}',
  `--${BOUNDARY}--`,
  "",
].join("\r\n");
const UPLOAD = [
  "POST /v1/files HTTP/1.1",
  "Host: x",
  `Content-Type: multipart/form-data; boundary=${BOUNDARY}`,
  `Content-Length: ${FORM.length}`,
  "",
  FORM,
].join("\r\n");

test("an upload and a new job that have begun are taken, and are there for the next process", async () => {
  const inner = new MemoryJobs();
  const server = await serveTiny(temporaryFolder(), { jobs: closable(inner) });
  const listening = await listen(server.app, { host: "127.0.0.1", port: 0 });
  const { url } = listening;
  const bodyOf = (received: string): unknown => JSON.parse(/\{.*\}/s.exec(received)?.[0] ?? "");
  const first = bodyOf(
    await exchange(url, UPLOAD.replace("Host: x", "Host: x\r\nConnection: close")),
  ) as UploadedFile;
  const job = postText("/v1/fine_tuning/jobs", { model: "tiny", training_file: first.id });
  const begun = await Promise.all(
    [UPLOAD, job].map(async (sent) => {
      const socket = await openSocket(url);
      const half = sent.length - 10;
      // Who is told to go on has been let in.
      socket.write(sent.slice(0, half).replace("Host: x", "Host: x\r\nExpect: 100-continue"));
      await receive(socket, /100 Continue/);
      return { socket, rest: sent.slice(half) };
    }),
  );
  await exchange(url, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const drained = drain(server.state, listening, 600_000);
  const answers = begun.map(({ socket, rest }) => {
    const answer = text(socket);
    socket.write(rest);
    return answer;
  });
  const [uploaded, created] = await Promise.all(answers);
  await drained;
  assert.match(uploaded ?? "", /^HTTP\/1\.1 200/);
  assert.match(created ?? "", /^HTTP\/1\.1 200/, created);
  const { id } = bodyOf(uploaded ?? "") as UploadedFile;
  assert.equal((await server.state.fineTuning?.files.readFile(id))?.status, "processed");
  const { id: jobId } = bodyOf(created ?? "") as Job;
  assert.equal((await inner.read(jobId))?.job.status, "queued");
  assert.deepEqual(server.errors, []);
  await server.state.model.close();
});

test("a stream can be moved elsewhere when its server has been told to stop", async () => {
  const server = await serveTiny(temporaryFolder());
  const listening = await listen(server.app, { host: "127.0.0.1", port: 0 });
  const streaming = await openSocket(listening.url);
  const chat = { model: "tiny", prompt: "ka", max_tokens: 400, ignore_eos: true, stream: true };
  streaming.write(postText("/v1/completions", chat));
  const [, id] = /"id":"([^"]+)"/.exec(await receive(streaming, /data: .*\n/)) ?? [];
  const drained = drain(server.state, listening, 600_000);
  const moved = await exchange(listening.url, postText(`/v1/requests/${id}/export`, ""));
  assert.match(moved, /^HTTP\/1\.1 200 [^]*"written_ids":\[/);
  assert.match(await text(streaming), /"finish_reason":"abort"/);
  await drained;
  await server.state.model.close();
});

test("as long as anything is under way, a server that stops answers that it does, and then its port closes", async () => {
  const server = await serveTiny(temporaryFolder());
  const listening = await listen(server.app, { host: "127.0.0.1", port: 0 });
  const { url } = listening;
  const chat = { model: "tiny", prompt: "ka", max_tokens: 64, ignore_eos: true, temperature: 0 };
  const streaming = await openSocket(url);
  streaming.write(postText("/v1/completions", { ...chat, stream: true }));
  await receive(streaming, /data: /);
  const whole = await openSocket(url);
  const sent = postText("/v1/completions", chat, ["Expect: 100-continue"]);
  whole.write(sent.slice(0, -10));
  await receive(whole, /100 Continue/);
  const drained = drain(server.state, listening, 600_000);
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  // Each ends its connection, as the client would ask on it again.
  assert.match(await exchange(url, get("/health")), /^HTTP\/1\.1 200 [^]*connection: close/i);
  for (const asked of [get("/ready"), postText("/v1/completions", chat), get("/v1/models")]) {
    const refused = await exchange(url, asked);
    assert.match(refused, /^HTTP\/1\.1 503 [^]*"code":"stopping"/);
    assert.match(refused, /^retry-after: 5\r$/im);
    assert.match(refused, /^connection: close\r$/im);
  }
  whole.write(sent.slice(-10));
  const [streamed, answer] = await Promise.all([text(streaming), text(whole)]);
  assert.match(streamed, /"finish_reason":"length"[^]*\[DONE\]/);
  assert.match(answer, /^HTTP\/1\.1 200 [^]*connection: close[^]*"finish_reason":"length"/i);
  await drained;
  await assert.rejects(fetch(`${url}/ready`));
  await server.state.model.close();
});

test("a server whose jobs cannot be stopped ends all else, and then says why", async () => {
  const server = await serveTiny(temporaryFolder());
  const { state } = server;
  const { fineTuning } = state;
  assert.ok(fineTuning);
  let isClosed = false;
  state.fineTuning = {
    ...fineTuning,
    stop: () => Promise.reject(new Error("no end")),
    close: async () => {
      await fineTuning.close();
      isClosed = true;
    },
  };
  const listening = await listen(server.app, { host: "127.0.0.1", port: 0 });
  await assert.rejects(drain(state, listening, 600_000), /no end/);
  await assert.rejects(fetch(`${listening.url}/ready`));
  assert.ok(isClosed);
  await state.model.close();
});
