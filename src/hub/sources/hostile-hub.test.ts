/** @file A hub, a mirror or somebody between that wants to do harm: paths, endless answers, the token, secrets in messages. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import { test } from "node:test";

import {
  assertWhole,
  CONTENT,
  entryOf,
  HeldTimers,
  settledBy,
  startHub,
  unreachableMessage,
} from "../../../test/files/fake-hub.ts";
import { waitFor } from "../../../test/process/wait-for.ts";

const CONFIG = entryOf("config.json");

test("a list with a path out of the folder is refused, and nothing is written", async () => {
  for (const path of [
    "../../x.safetensors",
    "/x.safetensors",
    "a/../../x.safetensors",
    "..\\x.safetensors",
  ]) {
    const fake = await startHub({ list: [CONFIG, entryOf("model.safetensors", path)] });
    const message = await unreachableMessage(fake.pull());
    assert.ok(
      message.includes(`a file ${JSON.stringify(path)}, expected names inside the repository`),
      message,
    );
    assert.equal(fake.requests.length, 1);
    assert.ok(
      !existsSync(join(dirname(fake.home), "x.safetensors")) && !existsSync(join(fake.home, "models")),
    );
  }
});

test("weights in a folder of the repository are told from none", async () => {
  const fake = await startHub({ list: [CONFIG, entryOf("model.safetensors", "sub/x.safetensors")] });
  assert.match(await unreachableMessage(fake.pull()), /only in subfolders, which graft does not read/);
  const none = await startHub({ list: [CONFIG, entryOf("model.safetensors", "\u001B[2J.safetensors")] });
  assert.match(await unreachableMessage(none.pull()), /no \.safetensors files there$/m);
});

test("a list that is none, or has an entry that is none, is refused with its place", async () => {
  const weights = entryOf("model.safetensors");
  const lists: [unknown, RegExp][] = [
    [{ error: "x" }, /does not answer like a hub/],
    [[CONFIG, null], /entry "1"/],
    [[CONFIG, "model.safetensors"], /entry "1"/],
    [[CONFIG, { ...weights, path: 5 }], /entry "1/],
    [[CONFIG, { ...weights, size: -1 }], /entry "1/],
    [[CONFIG, { ...weights, size: 1e15 }], /entry "1/],
    [[CONFIG, { ...weights, size: "9" }], /entry "1/],
    [[CONFIG, { ...weights, lfs: { oid: "../../x", size: 1 } }], /entry "1/],
    [[CONFIG, { ...weights, size: 1 }], /two sizes for the file "model.safetensors"/],
    [[CONFIG, weights, weights], /the file "model.safetensors" twice/],
  ];
  for (const [list, says] of lists) {
    const fake = await startHub({ list });
    assert.match(await unreachableMessage(fake.pull()), says);
  }
  const page = await startHub({ answer: (_, response) => void response.end("<html>") });
  assert.match(await unreachableMessage(page.pull()), /does not answer like a hub/);
});

/** Writes a piece now and again, until the other side has gone; tells how many it has written. */
function trickle(response: ServerResponse, piece: Buffer, everyMs: number): () => number {
  let numWritten = 0;
  const timer = setInterval(() => response.write(piece, () => numWritten++), everyMs);
  response.on("close", () => clearInterval(timer));
  return () => numWritten;
}

test("a list that never ends is given up: by pages, by bytes, by time", async () => {
  const pages = await startHub({
    answer: ({ url }, response) => {
      const next = Number(/cursor=(\d+)/.exec(url ?? "")?.[1] ?? 0) + 1;
      response
        .setHeader("link", `<http://${response.req.headers.host}/list?cursor=${next}>; rel="next"`)
        .end("[]");
    },
  });
  assert.match(await unreachableMessage(pages.pull()), /its list has more than 100 pages/);
  assert.equal(pages.requests.length, 100);
  const spaces = Buffer.alloc(1 << 22, " ");
  const bytes = await startHub({ answer: (_, response) => trickle(response, spaces, 1) });
  assert.match(await unreachableMessage(bytes.pull()), /the answer is longer than \d+ bytes/);
  let numWritten = (): number => 0;
  const slow = await startHub({
    answer: (_, response) => void (numWritten = trickle(response, Buffer.from("[ "), 1)),
  });
  const ofSlow = new HeldTimers();
  const given = unreachableMessage(slow.pull({ timeoutMs: 150, sources: ofSlow.sources }));
  // However many pieces come, they are too little to begin anew.
  await waitFor(() => ofSlow.numStarted(450) > 0 && numWritten() > 30);
  assert.deepEqual(ofSlow.delaysMs, [150, 1800, 450]);
  ofSlow.goOff(450);
  assert.match(await given, /less than 16384 bytes within 0\.45 s/);
  const steady = await startHub({
    answer: (_, response) => void trickle(response, Buffer.alloc(20_000, " "), 1),
  });
  const ofSteady = new HeldTimers();
  const long = unreachableMessage(steady.pull({ timeoutMs: 150, sources: ofSteady.sources }));
  await waitFor(() => ofSteady.numStarted(450) > 5);
  assert.equal(ofSteady.numStarted(1800), 1);
  ofSteady.goOff(1800);
  assert.match(await long, /not finished within 1\.8 s/);
});

test("a file of which two bytes come now and again is given up", async () => {
  const fake = await startHub();
  let numWritten = (): number => 0;
  fake.faults.answer = ({ url }, response) => {
    if (url?.includes("/tree/")) {
      response.end(JSON.stringify([CONFIG, entryOf("model.safetensors")]));
      return;
    }
    if (url?.endsWith("config.json")) {
      response.end(CONTENT["config.json"]);
      return;
    }
    numWritten = trickle(response, Buffer.from("{}"), 1);
  };
  const timers = new HeldTimers();
  const given = unreachableMessage(fake.pull({ timeoutMs: 150, sources: timers.sources }));
  // Each connection brings something, so another is made, but not for ever.
  const message = await settledBy(given, () => numWritten() > 30 && timers.goOff(450));
  assert.match(message, /less than 16384 bytes within 0\.45 s/);
  assert.ok(!existsSync(join(fake.models, "owner--tiny")));
});

test("the token goes to the hub's own address alone, whatever its links and redirects say", async () => {
  const other = await startHub();
  other.faults.answer = (request, response) => {
    if (request.url?.includes("/tree/")) {
      response.end(JSON.stringify([entryOf("tokenizer.json"), entryOf("README.md")]));
      return;
    }
    delete other.faults.answer;
    response.writeHead(302, { location: `${other.env["HF_ENDPOINT"]}${request.url?.slice(1)}` }).end();
  };
  const fake = await startHub();
  const elsewhere = other.env["HF_ENDPOINT"] ?? "";
  fake.faults.answer = (request, response) => {
    if (!request.url?.includes("/tree/")) {
      response.writeHead(307, { location: `${elsewhere}${request.url?.slice(1)}` }).end();
      return;
    }
    const next = `${elsewhere}api/models/owner/tiny/tree/main?cursor=1`;
    response.setHeader("link", `<${next}>; rel="next"`);
    response.end(JSON.stringify([CONFIG, entryOf("model.safetensors")]));
  };
  assertWhole((await fake.pull({ env: { ...fake.env, HF_TOKEN: "hf_SECRET" } })).path);
  assert.deepEqual(new Set(fake.requests.map(({ token }) => token)), new Set(["Bearer hf_SECRET"]));
  assert.ok(other.requests.length > 3);
  assert.deepEqual(new Set(other.requests.map(({ token }) => token)), new Set([undefined]));
});

test("a list does not go on where nothing encrypts or nothing is fetched", async () => {
  for (const next of ["file:///etc/passwd", "ftp://host/x", "http://"]) {
    const answer = (_: unknown, response: ServerResponse): void =>
      void response.setHeader("link", `<${next}>; rel="next"`).end("[]");
    assert.match(await unreachableMessage((await startHub({ answer })).pull()), /an invalid address/);
  }
});

test("no message holds a token or a password", async () => {
  const fake = await startHub();
  const { host } = new URL(fake.env["HF_ENDPOINT"] ?? "");
  const settings: [NodeJS.ProcessEnv, RegExp][] = [
    [{ HF_TOKEN: "hf_SECRET\nX" }, /HF_TOKEN contains a space, a line break/],
    [{ HF_TOKEN: "hf_SECRET\u00FC" }, /HF_TOKEN contains/],
    [{ HF_ENDPOINT: `http://user:SECRET@${host}` }, /HF_ENDPOINT contains more than an address/],
    [{ HF_ENDPOINT: `http://${host}/?token=SECRET` }, /HF_ENDPOINT contains more than an address/],
    [{ HF_ENDPOINT: "user:SECRET@host" }, /HF_ENDPOINT is not an address/],
    [{ HF_ENDPOINT: "http://user:SECRET@" }, /HF_ENDPOINT is not an address/],
  ];
  for (const [own, says] of settings) {
    const message = await unreachableMessage(fake.pull({ env: { ...fake.env, ...own } }));
    assert.match(message, says);
    assert.ok(!message.includes("SECRET"), message);
  }
  assert.equal(fake.requests.length, 0);
  // The line break at the end of a file that the token was read from is none of it.
  assertWhole((await fake.pull({ env: { ...fake.env, HF_TOKEN: "hf_SECRET\n" } })).path);
  assert.equal(fake.requests[0]?.token, "Bearer hf_SECRET");
  assert.deepEqual(readdirSync(fake.models), ["owner--tiny"]);
});
