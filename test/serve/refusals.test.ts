/** @file Requests that are refused before they are whole: clients that write all before they read lose no answer. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { listen } from "../../src/server/listening/listen.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { exchange, openSocket, receive } from "./raw-socket.ts";
import { listenTiny } from "./tiny-server.ts";
import { waitFor } from "../process/wait-for.ts";

/** More than the buffers of a connection hold. */
const NUM_PIECES = 40;
const PIECE = "x".repeat(250_000);
const PATH = "/v1/completions";

let keys: readonly never[] | null = null;
const { server, url } = await listenTiny(temporaryFolder(), {
  readKeys: async () => keys,
  limits: { requestsPerMinute: 40 },
});

/** Writes a piece once there is room for it; fails when the connection has broken. */
async function writePiece(socket: Socket, piece: string): Promise<void> {
  if (!socket.write(piece)) await waitFor(() => !socket.writableNeedDrain || socket.destroyed);
  assert.ok(!socket.destroyed, "the connection is reset");
}

/** Sends a request slowly, and reads only then. */
async function sendAll(path: string, headers: readonly string[]): Promise<string> {
  const socket = await openSocket(url);
  const isChunked = headers.some((header) => header.startsWith("Transfer-Encoding"));
  const length = isChunked ? [] : [`Content-Length: ${NUM_PIECES * PIECE.length}`];
  socket.write([`POST ${path} HTTP/1.1`, "Host: x", ...length, ...headers, "", ""].join("\r\n"));
  for (let i = 0; i < NUM_PIECES; i++) {
    await writePiece(socket, isChunked ? `${PIECE.length.toString(16)}\r\n${PIECE}\r\n` : PIECE);
    await wait(20);
  }
  if (isChunked) socket.write("0\r\n\r\n");
  const answer = await receive(socket, /\}\}$/);
  // A connection that is kept serves the next request.
  if (!headers.includes("Connection: close")) {
    socket.write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.match(await receive(socket, /\}$/), /^HTTP\/1\.1 200 /);
  }
  socket.destroy();
  return answer;
}

/** Clients that keep the connection, that do not, that say no length, and that ask first. */
const HEADERS = [[], ["Connection: close"], ["Transfer-Encoding: chunked"], ["Expect: 100-continue"]];

async function areTold(path: string, status: number, code: string): Promise<void> {
  const answers = await Promise.all(HEADERS.map((headers) => sendAll(path, headers)));
  for (const answer of answers) {
    assert.match(answer, new RegExp(`HTTP/1\\.1 ${status} `));
    assert.match(answer, new RegExp(`"code":"${code}"`));
  }
}

test("a client without a key reads that it needs one", async () => {
  keys = [];
  await areTold(PATH, 401, "invalid_api_key");
  keys = null;
});

test("a client of an unknown route reads that there is none", () =>
  areTold("/v1/nothing", 404, "unknown_url"));

test("a client that sends too much reads that it is too much", () => areTold(PATH, 413, "body_too_large"));

test("a client that comes while the server stops reads that it stops", async () => {
  server.state.isDraining = true;
  try {
    await areTold(PATH, 503, "stopping");
  } finally {
    server.state.isDraining = false;
  }
});

test("a client that comes too often reads that it does", async () => {
  for (let status = 0, numAsked = 0; status !== 429;) {
    assert.ok(numAsked++ < 100, "nothing is refused");
    const answer = await fetch(url + PATH, { method: "POST", body: "{" });
    await answer.text();
    ({ status } = answer);
  }
  await areTold(PATH, 429, "rate_limit_exceeded");
});

test("a client that is refused and sends no more is let go long before its time is over", async () => {
  const clientTimeoutMs = 600_000;
  const patient = await listen(server.app, { host: "127.0.0.1", port: 0, clientTimeoutMs });
  const startMs = performance.now();
  const rest = await Promise.all(
    HEADERS.map((headers) => {
      const length = headers.some((header) => header.startsWith("Transfer")) ? [] : ["Content-Length: 100"];
      return exchange(
        patient.url,
        ["POST /v1/nothing HTTP/1.1", "Host: x", ...length, ...headers, "", "1"].join("\r\n"),
      );
    }),
  );
  for (const received of rest) assert.deepEqual(received.match(/HTTP\/1\.1 [2-5]\d+/g), ["HTTP/1.1 404"]);
  assert.ok(performance.now() - startMs < 30_000, "the time of a client is ten minutes");
  await patient.stop(0);
});

test("a connection whose client still sends when the time of a request is over is ended, and told nothing more", async () => {
  const hasty = await listen(server.app, { host: "127.0.0.1", port: 0, clientTimeoutMs: 300 });
  const socket = await openSocket(hasty.url);
  let received = "";
  socket.on("data", (chunk: Buffer) => (received += chunk.toString("utf8")));
  socket.write("POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  const sending = setInterval(() => socket.write("x"), 20);
  await once(socket, "close");
  clearInterval(sending);
  assert.deepEqual(received.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 404"]);
  await hasty.stop(0);
});
