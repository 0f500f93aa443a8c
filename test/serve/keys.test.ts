/** @file API keys: made once, kept as hashes, with roles that routes ask for. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { API_ROLES, adminKeys, hashOfKey } from "../../src/server/access/api-keys.ts";
import { shellWords } from "../../src/messages/shell-words.ts";
import { KeyFile } from "../../src/server/access/key-file.ts";
import type { Access, Route } from "../../src/server/route.ts";
import { ROUTES } from "../../src/server/routes.ts";
import { runMain } from "../process/run-main.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";

const root = temporaryFolder();
const state = join(root, "state");
const file = join(state, "keys.json");
const keys = new KeyFile(state);
const server = await serveTiny(root, { readKeys: () => keys.read() });
after(() => server.close());

async function add(name: string, role: string): Promise<string> {
  const { status, stdout, stderr } = await runMain(
    ["keys", "add", name, "--role", role, "--state", state],
    {},
  );
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

async function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; code: string | null }> {
  const body = method === "POST" ? "{}" : null;
  const answer = await server.app.request(path, { method, body, headers });
  const { error } = (await answer.json()) as { error?: { code: string; type: string; param: unknown } };
  if (error) assert.deepEqual(Object.keys(error), ["message", "type", "param", "code"]);
  return { status: answer.status, code: error?.code ?? null };
}

test("without a key pages of other origins are refused; from the first key on everybody needs one", async () => {
  assert.equal((await ask("GET", "/v1/models")).status, 200);
  const page = await ask("GET", "/v1/models", { origin: "https://example.org" });
  assert.deepEqual(page, { status: 403, code: "origin_not_allowed" });
  for (const name of ["localhost:8080", "127.0.0.1", "[::1]:80", "graft", "me.local"]) {
    assert.equal((await ask("GET", `http://${name}/v1/models`)).status, 200, name);
  }
  const renamed = await ask("GET", "http://example.org/v1/models");
  assert.deepEqual(renamed, { status: 403, code: "origin_not_allowed" }, "a site's name for this machine");
  const described = await (await server.app.request("/openapi.json")).text();
  assert.doesNotMatch(described, /"security/, "nothing says that a key is needed");
  const key = await add("first", "admin");
  assert.deepEqual(await ask("GET", "/v1/models"), { status: 401, code: "invalid_api_key" });
  assert.equal((await ask("GET", "/v1/models", { authorization: `Bearer ${key}` })).status, 200);
});

test("of two that add keys at once one is refused before a key is shown, and what was shown is kept", async () => {
  const folder = join(root, "both");
  const both = new KeyFile(folder);
  const shown: string[] = [];
  const add = (name: string, meanwhile?: () => Promise<void>): Promise<string> =>
    both.add(name, "read", 0, async (key) => {
      shown.push(hashOfKey(key));
      await meanwhile?.();
    });
  // The other begins while the first is at work: of two that are only begun at once, one may end before the other looks.
  await add("one", () => assert.rejects(add("two"), { code: "usage/state" }));
  const kept = (await both.read()) ?? [];
  assert.deepEqual(
    kept.map(({ sha256 }) => sha256),
    shown,
  );
  await both.remove(kept[0]!.name);
  assert.deepEqual([await both.read(), readdirSync(folder)], [[], ["keys.json"]]);
});

/** What each route is for, with the status of an empty request, or one that names nothing there is. */
const TABLE: Readonly<Record<string, readonly [Access, number]>> = {
  "post /v1/chat/completions": ["read", 400],
  "post /v1/completions": ["read", 400],
  "post /v1/responses": ["read", 400],
  "post /v1/embeddings": ["read", 400],
  "post /classify": ["read", 400],
  "post /v1/rerank": ["read", 400],
  "post /v2/rerank": ["read", 400],
  "post /rerank": ["read", 400],
  "get /v1/models": ["read", 200],
  "get /v1/models/{model}": ["read", 404],
  "delete /v1/models/{model}": ["train", 404],
  "post /v1/load_lora_adapter": ["admin", 400],
  "post /v1/unload_lora_adapter": ["admin", 400],
  "post /v1/files": ["train", 400],
  "get /v1/files": ["train", 200],
  "get /v1/files/{id}": ["train", 404],
  "get /v1/files/{id}/content": ["train", 404],
  "delete /v1/files/{id}": ["train", 404],
  "post /v1/fine_tuning/jobs": ["train", 400],
  "get /v1/fine_tuning/jobs": ["train", 200],
  "get /v1/fine_tuning/jobs/{id}": ["train", 404],
  "get /v1/fine_tuning/jobs/{id}/events": ["train", 404],
  "get /v1/fine_tuning/jobs/{id}/checkpoints": ["train", 404],
  "post /v1/fine_tuning/jobs/{id}/cancel": ["train", 404],
  "post /v1/fine_tuning/jobs/{id}/pause": ["train", 404],
  "post /v1/fine_tuning/jobs/{id}/resume": ["train", 404],
  "post /v1/requests/{id}/export": ["admin", 404],
  "post /v1/requests/import": ["admin", 400],
  "post /tokenize": ["read", 400],
  "post /detokenize": ["read", 400],
  "get /health": ["everybody", 200],
  "get /ready": ["everybody", 200],
  "get /metrics": ["everybody", 200],
  "get /openapi.json": ["everybody", 200],
};

/** With what a client comes, and how much that opens. */
const CALLERS = { none: -1, wrong: -1, read: 0, train: 1, admin: 2 } as const;

test("each route answers nobody, a wrong key and each role as its line says, and the document says so too", async () => {
  const lines = new Map(ROUTES.map((route) => [`${route.method} ${documentedPath(route)}`, route]));
  assert.deepEqual([...lines.keys()].toSorted(), Object.keys(TABLE).toSorted(), "a line for each route");
  const bearers = new Map<string, string>([["wrong", "Bearer graft-wrong"]]);
  for (const role of API_ROLES) bearers.set(role, `Bearer ${await add(`of-${role}`, role)}`);
  const document = (await (await server.app.request("/openapi.json")).json()) as {
    paths: Record<string, Record<string, { security?: { key: string[] }[] }>>;
  };
  for (const [line, [access, open]] of Object.entries(TABLE)) {
    const [method = "", path = ""] = line.split(" ");
    const told = document.paths[path]?.[method]?.security?.[0]?.key[0];
    if (path !== "/openapi.json") assert.equal(told, access === "everybody" ? undefined : access, line);
    const needed = access === "everybody" ? -1 : API_ROLES.indexOf(access);
    for (const [caller, rank] of Object.entries(CALLERS)) {
      const authorization = bearers.get(caller);
      const closed = rank === -1 ? 401 : 403;
      const wanted = rank >= needed ? open : closed;
      for (const sent of method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()]) {
        const status = await statusOf(sent, path.replace(/\{\w+\}/, "none"), authorization);
        assert.equal(status, wanted, `${caller}: ${sent} ${path}`);
      }
    }
  }
});

function documentedPath({ path }: Route): string {
  return path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}");
}

async function statusOf(method: string, path: string, authorization?: string): Promise<number> {
  const body = method === "POST" ? "{}" : null;
  const headers = authorization === undefined ? {} : { authorization };
  return (await server.app.request(path, { method, body, headers })).status;
}

test("the file keeps no key, only its owner may read it, and removed keys are refused at once", async () => {
  const key = await add("short-lived", "read");
  assert.ok(!readFileSync(file, "utf8").includes(key));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const authorization = `Bearer ${key}`;
  assert.equal((await ask("GET", "/v1/models", { authorization })).status, 200);
  assert.equal((await ask("GET", "/v1/models", { authorization: `Bearer ${key.slice(0, -1)}` })).status, 401);
  const listed = await runMain(["keys", "list", "--state", state], {});
  assert.match(listed.stdout, /^short-lived {2}read/m);
  assert.ok(!listed.stdout.includes(key));
  const slip = await runMain(["keys", "remove", "short-livd", "--state", state], {});
  assert.equal(slip.status, 2);
  assert.match(slip.stderr, /short-lived/);
  assert.equal((await runMain(["keys", "remove", "short-lived", "--state", state], {})).status, 0);
  assert.equal((await ask("GET", "/v1/models", { authorization })).status, 401);
  const twice = await runMain(["keys", "add", "first", "--state", state], {});
  assert.equal(twice.status, 2);
  assert.ok(
    twice.stderr.endsWith(
      `Remove it first (${shellWords(["graft", "keys", "remove", "first", "--state", state])}), or choose another name.\n`,
    ),
    twice.stderr,
  );
  const bad = await runMain(["keys", "add", "a b", "--state", state], {});
  assert.equal(bad.status, 2);
});

test("a file of another version, a damaged one, and one that has gone open nothing", async () => {
  const whole = readFileSync(file, "utf8");
  for (const [text, message] of [
    [whole.replace('"version": 1', '"version": 2'), /version 2/],
    ["{", /JSON/],
    ['{"version": 1, "keys": [{}]}\n', /keys\.0/],
  ] as const) {
    writeFileSync(file, text);
    await assert.rejects(new KeyFile(state).read(), message);
    const numErrors = server.errors.length;
    for (const path of ["/v1/models", "/ready", "/openapi.json"])
      assert.deepEqual(await ask("GET", path), { status: 503, code: "keys_unreadable" });
    assert.equal((await ask("GET", "/health")).status, 200);
    // Who runs the server is told what it is.
    const told = server.errors.slice(numErrors).map((error) => (error as { cause: Error }).cause.message);
    assert.equal(told.length, 3);
    for (const found of told) assert.match(found, message);
  }
  rmSync(file);
  assert.equal((await ask("GET", "/ready")).status, 200);
  assert.equal((await ask("GET", "/v1/models")).status, 401);
  assert.equal(await new KeyFile(state).read(), null);
  assert.equal(adminKeys(["k".repeat(8)])[0]?.role, "admin");
});
