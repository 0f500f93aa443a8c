/** @file Many connections, and clients that go away, do not read, or take their time. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ServerResponse, createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { after, test } from "node:test";
import { boundClients } from "../../src/server/listening/client-bounds.ts";
import { listen } from "../../src/server/listening/listen.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { exchange, openSocket, postText, receive } from "./raw-socket.ts";
import { type TinyServer, listenTiny, serveTiny } from "./tiny-server.ts";
import { waitFor } from "../process/wait-for.ts";

const NUM_IDLE = 1000;
const NUM_STREAMS = 200;

const { server, url } = await listenTiny(temporaryFolder());

interface Events {
  readonly choices: readonly { readonly text: string }[];
}

/** The events of a stream, each of which is one line. */
function eventsOf(body: string): Events[] {
  const lines = body.trimEnd().split("\n\n");
  assert.equal(lines.pop(), "data: [DONE]");
  return lines.map((line) => JSON.parse(line.replace("data: ", "")) as Events);
}

const textOf = (body: string): string =>
  eventsOf(body)
    .map(({ choices }) => choices[0]?.text ?? "")
    .join("");

async function isIdle({ state }: TinyServer): Promise<void> {
  await waitFor(() => state.model.engine.stats.numRunning + state.places.numTaken === 0);
  assert.equal(state.model.engine.stats.numPagesHeld, 0);
}

const stream = (prompt: string, more: object = {}): object => ({
  model: "tiny",
  prompt,
  max_tokens: 3,
  temperature: 0,
  stream: true,
  ...more,
});
const post = (body: object, to = url): Promise<Response> =>
  fetch(`${to}/v1/completions`, { method: "POST", body: JSON.stringify(body) });

test("beside a thousand idle connections two hundred streams give each its own text", async () => {
  const idle = await Promise.all(Array.from({ length: NUM_IDLE }, () => openSocket(url)));
  // Some have begun a request that does not come.
  for (const socket of idle.slice(0, 100)) socket.write("POST /v1/completions HTTP/1.1\r\nHost: x\r\n");
  const prompts = Array.from({ length: NUM_STREAMS }, (_, i) => `${i} ${"ka lo mi".slice(0, 2 + (i % 7))}`);
  const together = await Promise.all(
    prompts.map(async (prompt) => textOf(await (await post(stream(prompt))).text())),
  );
  const sample = [0, 1, 2, 57, 131, NUM_STREAMS - 1];
  for (const i of sample) {
    const alone = textOf(await (await post(stream(prompts[i]!))).text());
    assert.equal(together[i], alone);
  }
  assert.equal((await fetch(`${url}/health`)).status, 200);
  for (const socket of idle) socket.destroy();
  await isIdle(server);
  assert.deepEqual(server.errors, []);
});

test("whoever goes away ends the text at once, streamed or whole, also while it waits", async () => {
  const streaming = await openSocket(url);
  streaming.write(postText("/v1/completions", stream("ka", { max_tokens: 400 })));
  await receive(streaming, /"text"/);
  streaming.destroy();
  await isIdle(server);
  const { stats } = server.state.model.engine;
  assert.ok(stats.numNewTokens > 0);
  const whole = await openSocket(url);
  const waiting = Array.from({ length: 20 }, () => stream("lo", { max_tokens: 400, stream: false }));
  whole.write(postText("/v1/completions", stream("ka", { max_tokens: 400, stream: false })));
  const others = await Promise.all(
    waiting.map(async (body) => {
      const socket = await openSocket(url);
      socket.write(postText("/v1/completions", body));
      return socket;
    }),
  );
  await waitFor(() => server.state.model.engine.stats.numWaiting > 0);
  for (const socket of [...others, whole]) socket.destroy();
  await isIdle(server);
  const told = await (await fetch(`${url}/metrics`)).text();
  assert.match(told, /graft_requests_total\{adapter="tiny",finished_reason="aborted"\} [1-9]/);
  assert.deepEqual(server.errors, []);
});

test("a stream that nobody reads holds no more than its text, gives its pages back, and can be read later", async () => {
  const answer = await server.app.request("/v1/completions", {
    method: "POST",
    body: JSON.stringify(stream("ka", { max_tokens: 300 })),
  });
  const { engine } = server.state.model;
  await waitFor(() => engine.stats.numPagesHeld === 0 && server.state.places.numTaken > 0);
  // The text has been written, and waits; what was made of it for the client has not.
  assert.equal(server.state.places.numTaken, 1);
  const whole = eventsOf(await answer.text());
  assert.equal(whole.length, 301);
  await isIdle(server);
});

test("a client of HTTP/1.0, which names no host and reads no chunks, gets plain events", async () => {
  const sent = postText("/v1/completions", stream("ka")).replace("HTTP/1.1\r\nHost: x", "HTTP/1.0");
  const alone = await (await post(stream("ka"))).text();
  const forPages = await listenTiny(temporaryFolder(), { corsOrigins: ["https://a.example"] });
  for (const each of [url, forPages.url]) {
    const [head = "", body = ""] = (await exchange(each, sent)).split("\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 200/);
    assert.doesNotMatch(head, /transfer-encoding|keep-alive/i);
    assert.equal(textOf(body), textOf(alone));
  }
  assert.match(await exchange(url, "GET /ready HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200/);
});

test("who does not send is told so and cut off after a while; who waits for a long text is not", async () => {
  const other = await serveTiny(temporaryFolder());
  const hasty = await listen(other.app, { host: "127.0.0.1", port: 0, clientTimeoutMs: 99.5 });
  after(async () => {
    await hasty.stop(0);
    await other.close();
  });
  const begun = ["", "POST /v1/completions HTTP/1.1\r\nHost:", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"];
  const half = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
  const answers = await Promise.all([...begun, half].map((sent) => exchange(hasty.url, sent)));
  assert.match(answers[1] ?? "", /^HTTP\/1\.1 408 [^]*"code":"request_timeout"/);
  assert.match(answers[2] ?? "", /"ok"/);
  assert.match(answers[3] ?? "", /^HTTP\/1\.1 408 [^]*"code":"request_timeout"/);
  // Where another answer is due before it, nothing is written that could be taken for that.
  const before = postText("/v1/completions", {
    model: "tiny",
    prompt: "ka",
    max_tokens: 400,
    temperature: 0,
  });
  const both = await exchange(hasty.url, before + half);
  assert.match(both, /^$|^HTTP\/1\.1 200 /);
  const served = await post(stream("ka", { max_tokens: 400, stream: false }), hasty.url);
  assert.equal(served.status, 200);
  assert.deepEqual(other.errors, []);
});

test("who does not read an answer is cut off after a while", async () => {
  const answers: ServerResponse[] = [];
  const plain = createServer((_, answer) => {
    answers.push(answer);
    answer.end(Buffer.alloc(64e6));
  });
  boundClients(plain, 100);
  plain.listen(0, "127.0.0.1");
  await once(plain, "listening");
  after(() => plain.close());
  const { port } = plain.address() as AddressInfo;
  const accepted = once(plain, "connection") as Promise<[Socket]>;
  const deaf = await openSocket(`http://127.0.0.1:${port}`);
  deaf.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const [socket] = await accepted;
  await once(socket, "close");
  assert.deepEqual(
    answers.map(({ writableFinished }) => writableFinished),
    [false],
  );
  deaf.destroy();
});
