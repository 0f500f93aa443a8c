/** @file A process that was busy for a while reads first what has come meanwhile, and only then calls a client late. */
import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { Hono } from "hono";
import { listen } from "../../src/server/listening/listen.ts";
import { openSocket, postText, receive } from "./raw-socket.ts";
import { waitFor } from "../process/wait-for.ts";

const CLIENT_TIMEOUT_MS = 500;
/** Longer than any limit that follows from it: Node keeps connections a second longer than it says. */
const BUSY_MS = 2000;

let numBegun = 0;
const app = new Hono();
app.post("/", async (context) => {
  numBegun++;
  const body = await context.req.arrayBuffer().catch(() => new ArrayBuffer(0));
  return context.json({ length: body.byteLength });
});
const { url, stop } = await listen(app, { host: "127.0.0.1", port: 0, clientTimeoutMs: CLIENT_TIMEOUT_MS });
after(() => stop(0));

/** Nothing else happens in this process meanwhile. */
const beBusy = (): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);

test("a request that came on an idle connection while the server was busy is answered", async () => {
  const socket = await openSocket(url);
  socket.write(postText("/", "{}"));
  await receive(socket, /"length":2\}/);
  socket.write(postText("/", "{} "));
  beBusy();
  assert.match(await receive(socket, /\}/), /^HTTP\/1\.1 200 [^]*"length":3\}/);
  socket.destroy();
});

test("a request whose rest came while the server was busy is answered", async () => {
  const socket = await openSocket(url);
  const whole = postText("/", "x".repeat(1000));
  const before = numBegun;
  socket.write(whole.slice(0, -500));
  await waitFor(() => numBegun > before);
  socket.write(whole.slice(-500));
  beBusy();
  assert.match(await receive(socket, /\}/), /^HTTP\/1\.1 200 [^]*"length":1000\}/);
  socket.destroy();
});

test("a whole request that is begun while the server is busy is answered", async () => {
  const socket = await openSocket(url);
  const whole = postText("/", "x".repeat(1000));
  socket.write(whole.slice(0, 20));
  // Until its beginning is read.
  await wait(CLIENT_TIMEOUT_MS / 10);
  socket.write(whole.slice(20));
  beBusy();
  assert.match(await receive(socket, /\}/), /^HTTP\/1\.1 200 [^]*"length":1000\}/);
  socket.destroy();
});

test("one whose rest has not come is late all the same, also when something of it has", async () => {
  const socket = await openSocket(url);
  const before = numBegun;
  socket.write(postText("/", "x".repeat(1000)).slice(0, -500));
  await waitFor(() => numBegun > before);
  const answer = text(socket);
  socket.write("x".repeat(100));
  beBusy();
  assert.match(await answer, /^HTTP\/1\.1 408 /);
});
