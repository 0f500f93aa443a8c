import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { FailedError } from "../errors.ts";
import { hub } from "./hub-source.ts";
import { resolveModel, type ResolveOptions } from "./resolve.ts";
import type { PullProgress } from "./source.ts";

const NAME = "owner/tiny";
const WEIGHTS = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 255));
const CONFIG = Buffer.from('{"model_type":"tiny"}\n');
const CONTENT: Readonly<Record<string, Buffer>> = {
  "config.json": CONFIG,
  "model.safetensors": WEIGHTS,
  "tokenizer.json": Buffer.from("{}"),
};

/** How the fake hub misbehaves. */
interface Faults {
  /** Bytes of the weights after which each connection is cut, one entry a connection. */
  cuts?: number[];
  ignoresRange?: boolean;
  /** Flips the first byte of the weights. */
  corrupts?: boolean;
  /** Accepts connections and says nothing. */
  isSilent?: boolean;
  /** Sends this many bytes of the weights, then nothing more. */
  stallsAfter?: number;
  status?: number;
  token?: string;
}

/** An exact, small hub on a free port of this machine. */
class FakeHub implements AsyncDisposable {
  readonly requests: { path: string; range: string | undefined }[] = [];
  readonly faults: Faults;
  readonly home = mkdtempSync(join(tmpdir(), "graft-hub-"));
  readonly #server = createServer((request, response) => this.#answer(request, response));

  constructor(faults: Faults = {}) {
    this.faults = faults;
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get env(): NodeJS.ProcessEnv {
    return {
      GRAFT_HOME: this.home,
      HF_ENDPOINT: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`,
    };
  }

  pull(options: ResolveOptions = {}, name = NAME): ReturnType<typeof resolveModel> {
    return resolveModel(name, { env: this.env, timeoutMs: 2000, sources: [hub], ...options });
  }

  get models(): string {
    return join(this.home, "models");
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { range, authorization } = request.headers;
    const path = request.url ?? "";
    this.requests.push({ path, range });
    const { faults } = this;
    if (faults.isSilent) return;
    if (faults.status !== undefined) return void response.writeHead(faults.status).end("no");
    if (faults.token !== undefined && authorization !== `Bearer ${faults.token}`) {
      return void response.writeHead(401).end();
    }
    if (/^\/api\/models\/owner\/tiny\/tree\/(main|v1)\?/.test(path)) return this.#list(response);
    const file = /^\/owner\/tiny\/resolve\/(main|v1)\/(.+)$/.exec(path)?.[2] ?? "";
    const content = CONTENT[file];
    if (content === undefined) return void response.writeHead(404).end();
    this.#send(file, content, range, response);
  }

  #list(response: ServerResponse): void {
    const entries = Object.entries(CONTENT).map(([path, content]) => ({
      type: "file",
      path,
      size: content.length,
      oid: createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex"),
      ...(path.endsWith(".safetensors")
        ? {
            oid: "0".repeat(40),
            lfs: {
              oid: createHash("sha256").update(content).digest("hex"),
              size: content.length,
              pointerSize: 130,
            },
          }
        : {}),
    }));
    const others = ["pytorch_model.bin", "consolidated.safetensors", "README.md"];
    const surplus = others.map((path) => ({ type: "file", path, size: 1, oid: "1".repeat(40) }));
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify([...entries, ...surplus]));
  }

  #send(file: string, content: Buffer, range: string | undefined, response: ServerResponse): void {
    const { faults } = this;
    const isWeights = file === "model.safetensors";
    const start = faults.ignoresRange ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    const body = Buffer.from(content.subarray(start));
    if (isWeights && faults.corrupts && start === 0) body.writeUInt8(body.readUInt8(0) ^ 1, 0);
    const head: Record<string, string | number> = { "content-length": body.length };
    if (start > 0) head["content-range"] = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(start > 0 ? 206 : 200, head);
    if (isWeights && faults.stallsAfter !== undefined)
      return void response.write(body.subarray(0, faults.stallsAfter));
    const cut = isWeights ? faults.cuts?.shift() : undefined;
    if (cut === undefined) return void response.end(body);
    // The bytes must reach the other side before the connection breaks.
    response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 50));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.home, { recursive: true, force: true });
  }
}

const hubs: FakeHub[] = [];
async function startHub(faults: Faults = {}): Promise<FakeHub> {
  const fake = await new FakeHub(faults).listen();
  hubs.push(fake);
  return fake;
}
after(async () => {
  for (const fake of hubs) await fake[Symbol.asyncDispose]();
});

function assertWhole(path: string): void {
  assert.deepEqual(readdirSync(path).toSorted(), Object.keys(CONTENT));
  for (const [file, content] of Object.entries(CONTENT))
    assert.ok(readFileSync(join(path, file)).equals(content), file);
}

/** An address of this machine where nobody listens. */
async function closedEndpoint(): Promise<string> {
  await using fake = await new FakeHub().listen();
  return fake.env["HF_ENDPOINT"] ?? "";
}

/** Expects a source/unreachable error and returns its message. */
async function unreachableMessage(pull: Promise<unknown>): Promise<string> {
  const error = await pull.then(
    () => assert.fail("the pull worked"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof FailedError && error.code === "source/unreachable", String(error));
  return error.message;
}

test("the hub source copies the files that graft reads, and nothing else, into the cache", async () => {
  const fake = await startHub();
  const seen: PullProgress[] = [];
  const { path, source } = await fake.pull({ onProgress: (progress) => seen.push(progress) });
  assert.equal(source, "Hugging Face hub");
  assert.equal(path, join(fake.models, "owner--tiny"));
  assertWhole(path);
  assert.deepEqual(readdirSync(fake.models), ["owner--tiny"]);
  const totalBytes = Object.values(CONTENT).reduce((sum, content) => sum + content.length, 0);
  assert.deepEqual([seen.at(-1)?.receivedBytes, seen.at(-1)?.totalBytes], [totalBytes, totalBytes]);
});

test("a second resolveModel() finds the model in the cache without a request", async () => {
  const fake = await startHub();
  await fake.pull();
  const before = fake.requests.length;
  const again = await resolveModel(NAME, { env: fake.env });
  assert.equal(again.source, "cache");
  assertWhole(again.path);
  assert.equal(fake.requests.length, before);
});

test("NAME@REVISION asks for that revision and has a cache entry of its own", async () => {
  const fake = await startHub();
  const { path } = await fake.pull({}, `${NAME}@v1`);
  assert.equal(path, join(fake.models, "owner--tiny@v1"));
  assert.ok(fake.requests.every((request) => request.path.includes("/v1")));
  assert.match(await unreachableMessage(fake.pull({}, `${NAME}@v2`)), /HTTP 404, no such model or revision/);
});

test("a broken connection is taken up again where it broke, within one pull", async () => {
  const fake = await startHub({ cuts: [100_000, 50_000] });
  assertWhole((await fake.pull()).path);
  const ranges = fake.requests.filter((request) => request.path.endsWith("model.safetensors"));
  assert.equal(ranges.length, 3);
  assert.equal(ranges[0]?.range, undefined);
  assert.ok(Number(/\d+/.exec(ranges[1]?.range ?? "")?.[0]) > 0);
});

test("a stopped pull leaves no model, and the next one goes on with its bytes", async () => {
  const fake = await startHub({ stallsAfter: 120_000 });
  const stop = new AbortController();
  const onProgress = ({ file, receivedBytes }: PullProgress): void => {
    if (file === "model.safetensors" && receivedBytes > 100_000) stop.abort();
  };
  await assert.rejects(fake.pull({ signal: stop.signal, onProgress }), { name: "AbortError" });
  assert.deepEqual(readdirSync(fake.models), ["owner--tiny.hub.partial"]);
  delete fake.faults.stallsAfter;
  fake.requests.length = 0;
  assertWhole((await fake.pull()).path);
  const asked = fake.requests.filter((request) => request.path.includes("/resolve/"));
  assert.equal(asked.length, 1, "the small files before the weights are not fetched again");
  assert.ok(Number(/\d+/.exec(asked.find((request) => request.range)?.range ?? "")?.[0]) > 90_000);
  assert.deepEqual(readdirSync(fake.models), ["owner--tiny"]);
});

test("a server that ignores ranges makes the file start again", async () => {
  const fake = await startHub({ cuts: [100_000], ignoresRange: true });
  assertWhole((await fake.pull()).path);
});

test("a wrong checksum is source/corrupt and leaves no model", async () => {
  const fake = await startHub({ corrupts: true });
  await assert.rejects(fake.pull(), { code: "source/corrupt" });
  assert.equal(existsSync(join(fake.models, "owner--tiny")), false);
});

test("damaged bytes of an earlier pull are thrown away once the server has the right ones", async () => {
  const fake = await startHub({ corrupts: true, cuts: [100_000, 0, 0, 0, 0, 0, 0, 0, 0] });
  await unreachableMessage(fake.pull());
  delete fake.faults.cuts;
  fake.faults.corrupts = false;
  assertWhole((await fake.pull()).path);
});

test("a silent server is given up after the time-out", async () => {
  const fake = await startHub({ isSilent: true });
  assert.match(await unreachableMessage(fake.pull({ timeoutMs: 100 })), /no answer within 0\.1 s/);
});

test("a download that stalls is given up", async () => {
  const fake = await startHub({ stallsAfter: 1000 });
  assert.match(await unreachableMessage(fake.pull({ timeoutMs: 100 })), /no answer within 0\.[13] s/);
});

test("each kind of refusal has its own reason", async () => {
  const denied = await startHub({ token: "secret" });
  assert.match(await unreachableMessage(denied.pull()), /HTTP 401, no such model or it needs HF_TOKEN/);
  assertWhole((await denied.pull({ env: { ...denied.env, HF_TOKEN: "secret" } })).path);
  const broken = await startHub({ status: 503 });
  assert.match(await unreachableMessage(broken.pull()), /HTTP 503 from/);
  const env = { ...broken.env, HF_ENDPOINT: await closedEndpoint() };
  assert.match(await unreachableMessage(broken.pull({ env })), /the connection was refused/);
  const offline = { ...broken.env, HF_HUB_OFFLINE: "1" };
  assert.match(await unreachableMessage(broken.pull({ env: offline })), /HF_HUB_OFFLINE is set/);
});

test("concurrent pulls of one model all get the whole model", async () => {
  const fake = await startHub();
  const pulls = await Promise.all(Array.from({ length: 4 }, () => fake.pull()));
  for (const { path } of pulls) assertWhole(path);
  assert.deepEqual(readdirSync(fake.models), ["owner--tiny"]);
});
