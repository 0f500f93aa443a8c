/** @file An exact, small hub on a free port of this machine, which misbehaves as it is told. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { hub } from "../../src/hub/sources/hub.ts";
import { FailedError } from "../../src/errors.ts";
import { waitFor } from "../process/wait-for.ts";
import type { ModelSource, StartTimer } from "../../src/hub/source.ts";
import { resolveModel, type ResolveOptions } from "../../src/hub/resolve.ts";

/** For hubs that answer: on a busy machine that may take long. */
export const PATIENCE_MS = 600_000;

export const NAME = "owner/tiny";
const WEIGHTS = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 255));
const CONFIG = Buffer.from('{"model_type":"tiny"}\n');
export const CONTENT: Readonly<Record<string, Buffer>> = {
  "config.json": CONFIG,
  "model.safetensors": WEIGHTS,
  "tokenizer.json": Buffer.from("{}"),
  "README.md": Buffer.from("---\nlicense: mit\n---\n"),
};

/** An address of this machine where nobody listens: the system gives no such port to who asks for a free one. */
export const CLOSED_ENDPOINT = "http://127.0.0.1:2";

/** Timers that run until a test has them go off, so that nothing hangs on how fast a machine is. */
export class HeldTimers {
  /** The times of all that were started, in their order. */
  readonly delaysMs: number[] = [];
  readonly #running = new Map<object, { readonly call: () => void; readonly delayMs: number }>();

  /** The hub as a source, with these timers. */
  get sources(): readonly ModelSource[] {
    const start: StartTimer = (call, delayMs) => {
      this.delaysMs.push(delayMs);
      const timer = (): void => void this.#running.delete(timer);
      this.#running.set(timer, { call, delayMs });
      return timer;
    };
    return [{ ...hub, find: (model, context) => hub.find(model, { ...context, startTimer: start }) }];
  }

  /** How many were started that go off after so long. */
  numStarted(delayMs: number): number {
    return this.delaysMs.filter((each) => each === delayMs).length;
  }

  /** Has those that go off after so long do so; whether there were any. */
  goOff(delayMs: number): boolean {
    const due = [...this.#running].filter(([, timer]) => timer.delayMs === delayMs);
    for (const [timer, { call }] of due) {
      this.#running.delete(timer);
      call();
    }
    return due.length > 0;
  }
}

/** How a hub lists a file that it has, under its name or another. */
export function entryOf(name: string, path = name, content = CONTENT[name]!): Record<string, unknown> {
  const [size, sha256] = [content.length, createHash("sha256").update(content).digest("hex")];
  if (name.endsWith(".safetensors")) {
    return { type: "file", path, size, oid: "0".repeat(40), lfs: { oid: sha256, size, pointerSize: 130 } };
  }
  const oid = createHash("sha1").update(`blob ${size}\0`).update(content).digest("hex");
  return { type: "file", path, size, oid };
}

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
  /** Entries in place of the list. */
  list?: unknown;
  /** Answers every request in place of the hub. */
  answer?: (request: IncomingMessage, response: ServerResponse) => void;
}

/** An exact, small hub on a free port of this machine. */
export class FakeHub implements AsyncDisposable {
  readonly requests: { path: string; range: string | undefined; token: string | undefined }[] = [];
  readonly faults: Faults;
  readonly content: Readonly<Record<string, Buffer>>;
  readonly home = mkdtempSync(join(tmpdir(), "graft-hub-"));
  readonly #server = createServer((request, response) => this.#answer(request, response));

  constructor(faults: Faults = {}, content = CONTENT) {
    this.faults = faults;
    this.content = content;
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
    return resolveModel(name, { env: this.env, timeoutMs: PATIENCE_MS, sources: [hub], ...options });
  }

  get models(): string {
    return join(this.home, "models");
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { range, authorization } = request.headers;
    const path = request.url ?? "";
    this.requests.push({ path, range, token: authorization });
    const { faults } = this;
    if (faults.isSilent) return;
    if (faults.answer !== undefined) return faults.answer(request, response);
    if (faults.status !== undefined) return void response.writeHead(faults.status).end("no");
    if (faults.token !== undefined && authorization !== `Bearer ${faults.token}`) {
      return void response.writeHead(401).end();
    }
    const listed = /^\/api\/models\/owner\/tiny\/tree\/(main|v1)(?:\/([^?]+))?\?/.exec(path);
    if (listed) return this.#list(listed[2], response);
    const file = /^\/owner\/tiny\/resolve\/(main|v1)\/(.+)$/.exec(path)?.[2] ?? "";
    const content = this.content[file];
    if (content === undefined) return void response.writeHead(404).end();
    this.#send(file, content, range, response);
  }

  /** Lists the files of a folder, and the folders beside them, as the hub does. */
  #list(folder: string | undefined, response: ServerResponse): void {
    const others = folder ? [] : ["pytorch_model.bin", "consolidated.safetensors", "LICENSE"];
    const surplus = others.map((path) => ({ type: "file", path, size: 1, oid: "1".repeat(40) }));
    const start = folder ? `${folder}/` : "";
    const own = Object.entries(this.content).filter(([name]) => name.startsWith(start));
    const folders = own.flatMap(([name]) => /^[^/]+(?=\/)/.exec(name.slice(start.length)) ?? []);
    const list = this.faults.list ?? [
      ...own.flatMap(([name, content]) =>
        name.includes("/", start.length) ? [] : [entryOf(name, name, content)],
      ),
      ...[...new Set(folders)].map((name) => ({ type: "directory", path: start + name, size: 0 })),
      ...surplus,
    ];
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(list));
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
    // What has come is lost to who has not read it when the connection breaks.
    const isThere = (): boolean => cut === 0 || this.#numKept() > start || response.destroyed;
    response.write(body.subarray(0, cut), () => void waitFor(isThere).then(() => response.destroy()));
  }

  /** Bytes of the weights that whoever pulls has on the disk. */
  #numKept(): number {
    const names = readdirSync(this.models, { recursive: true, encoding: "utf8" });
    const part = names.find((name) => /model\.safetensors\.\w+\.part$/.test(name));
    return part === undefined ? 0 : (statSync(join(this.models, part), { throwIfNoEntry: false })?.size ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.home, { recursive: true, force: true });
  }
}

const hubs: FakeHub[] = [];
export async function startHub(faults: Faults = {}, content = CONTENT): Promise<FakeHub> {
  const fake = await new FakeHub(faults, content).listen();
  hubs.push(fake);
  return fake;
}
after(async () => {
  for (const fake of hubs) await fake[Symbol.asyncDispose]();
});

export function assertWhole(path: string): void {
  assert.deepEqual(readdirSync(path).toSorted(), [...Object.keys(CONTENT), "graft-files.json"].toSorted());
  for (const [file, content] of Object.entries(CONTENT))
    assert.ok(readFileSync(join(path, file)).equals(content), file);
}

/** Expects a source/unreachable error and returns its message. */
export async function unreachableMessage(pull: Promise<unknown>): Promise<string> {
  const error = await pull.then(
    () => assert.fail("the pull worked"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof FailedError && error.code === "source/unreachable", String(error));
  return error.message;
}

/** Waits for work whose timers go off when they are asked to, again and again. */
export async function settledBy<T>(work: Promise<T>, goOff: () => unknown): Promise<T> {
  let isOver = false;
  const over = (): void => void (isOver = true);
  work.then(over, over);
  await waitFor(() => {
    goOff();
    return isOver;
  });
  return await work;
}
