/** @file HTTPS: answers over it, and files that do not do are told before the model is opened. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { IncomingMessage } from "node:http";
import { Hono } from "hono";
import { listen } from "../../src/server/listening/listen.ts";
import { readTls } from "../../src/server/listening/tls-files.ts";
import { runMain } from "../process/run-main.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { exchange, openSocket } from "./raw-socket.ts";
import { makeSelfSigned } from "./self-signed.ts";
import { serveTiny } from "./tiny-server.ts";

const root = temporaryFolder();

function write(name: string, content: string): string {
  writeFileSync(join(root, name), content);
  return join(root, name);
}

const own = makeSelfSigned();
const cert = write("cert.pem", own.cert);
const key = write("key.pem", own.key);
const lockedKey = createPrivateKey(own.key)
  .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" })
  .toString();

test("a client that trusts the certificate is answered, one that speaks plain HTTP is not", async () => {
  const server = await serveTiny(root);
  const { url, stop } = await listen(server.app, {
    host: "127.0.0.1",
    port: 0,
    readTls: () => readTls(cert, key),
  });
  after(async () => {
    await stop(0);
    await server.close();
  });
  assert.match(url, /^https:/);
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request(`${url}/v1/completions`, { method: "POST", ca: own.cert }, resolve);
    asked.once("error", reject);
    asked.end(JSON.stringify({ model: "tiny", prompt: "ka", max_tokens: 3 }));
  });
  assert.equal(answer.statusCode, 200);
  assert.match(await text(answer), /"completion_tokens":3/);
  await assert.rejects(fetch(url.replace("https", "http")));
});

test("who does not begin with a handshake is cut off after a while, and does not keep a server from stopping", async () => {
  const options = { host: "127.0.0.1", port: 0, readTls: () => readTls(cert, key) };
  const hasty = await listen(new Hono(), { ...options, clientTimeoutMs: 100 });
  assert.equal(await exchange(hasty.url, ""), "");
  await hasty.stop(0);
  const patient = await listen(new Hono(), options);
  const silent = await openSocket(patient.url);
  await patient.stop(0);
  silent.destroy();
});

test("a renewed certificate is taken up, once its key is there", async () => {
  const paths = [write("renewed.pem", own.cert), write("renewed-key.pem", own.key)] as const;
  const troubles: unknown[] = [];
  const { url, stop } = await listen(new Hono(), {
    host: "127.0.0.1",
    port: 0,
    readTls: () => readTls(...paths),
    tlsCheckMs: 5,
    onTrouble: (error) => troubles.push(error),
  });
  after(() => stop(0));
  const isTrusted = async (ca: string): Promise<boolean> =>
    await new Promise((resolve) => {
      const asked = request(url, { ca, agent: false }, () => resolve(true));
      asked.once("error", () => resolve(false));
      asked.end();
    });
  assert.deepEqual([await isTrusted(own.cert), troubles], [true, []]);
  const renewed = makeSelfSigned();
  renameSync(write("new.pem", renewed.cert), paths[0]);
  while (troubles.length === 0) await setTimeout(5);
  assert.match(String(troubles[0]), /it does not belong to certificate/);
  assert.equal(await isTrusted(own.cert), true);
  renameSync(write("new-key.pem", renewed.key), paths[1]);
  while (!(await isTrusted(renewed.cert))) await setTimeout(5);
  assert.deepEqual([await isTrusted(own.cert), troubles.length], [false, 1]);
});

test("files that do not do are told before the model is opened", async () => {
  const other = write("other.pem", makeSelfSigned().key);
  const broken = write("broken.pem", own.cert.replace(/\n.{30}/, "\n????"));
  const locked = write("locked.pem", lockedKey);
  // Of 96 bits of safety, where TLS wants 112.
  const { cert: short, key: shortKey } = makeSelfSigned("prime192v1");
  const weak = [write("weak.pem", short), write("weak-key.pem", shortKey)] as const;
  const pipe = join(root, "pipe");
  const hasPipe = spawnSync("mkfifo", [pipe]).status === 0;
  const cases: [string[], number, RegExp][] = [
    ...(hasPipe
      ? [[["--tls-cert", pipe, "--tls-key", key], 1, /a device or a pipe/] as [string[], number, RegExp]]
      : []),
    [["--tls-cert", cert], 2, /--tls-key/],
    [["--tls-key", key], 2, /--tls-cert/],
    [["--tls-cert", join(root, "none.pem"), "--tls-key", key], 1, /no such file/],
    [["--tls-cert", cert, "--tls-key", other], 2, /it does not belong to certificate/],
    [["--tls-cert", broken, "--tls-key", key], 1, /broken\.pem": it is damaged/],
    [["--tls-cert", cert, "--tls-key", locked], 1, /private key .*it is encrypted with a passphrase/],
    [["--tls-cert", weak[0], "--tls-key", weak[1]], 2, /weak\.pem": .*too small, expected a stronger/],
    [["--tls-cert", cert, "--tls-key", cert], 1, /private key .*it is damaged/],
  ];
  for (const [words, status, message] of cases) {
    // No model is there: whoever looks for it first says so.
    const said = await runMain(["serve", "--model", join(root, "no-model"), ...words], {});
    assert.equal(said.status, status, said.stderr);
    assert.match(said.stderr, message);
    assert.doesNotMatch(said.stderr, /no-model/);
  }
});
