/** @file API keys: made once, kept as hashes, with roles that routes ask for. */
import assert from "node:assert/strict";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { adminKeys } from "../../src/server/access/api-keys.ts";
import { KeyFile } from "../../src/server/access/key-file.ts";
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

test("each role opens its routes and those of the roles before, and the document says which", async () => {
  const roles = ["read", "train", "admin"] as const;
  const bearers = new Map<string, string>();
  for (const role of roles) bearers.set(role, `Bearer ${await add(`of-${role}`, role)}`);
  const document = (await (await server.app.request("/openapi.json")).json()) as {
    paths: Record<string, Record<string, { security?: { key: string[] }[] }>>;
  };
  for (const { method, path, access } of ROUTES) {
    const place = path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}");
    const told = document.paths[place]?.[method]?.security?.[0]?.key[0];
    if (path !== "/openapi.json") assert.equal(told, access === "everybody" ? undefined : access, path);
    if (access === "everybody") continue;
    for (const role of roles) {
      const { status, code } = await ask(method.toUpperCase(), path.replace(/:\w+(\{[^}]*\})?/, "none"), {
        authorization: bearers.get(role) as string,
      });
      const isRefused: boolean = roles.indexOf(role) < roles.indexOf(access);
      assert.equal(code === "insufficient_permissions", isRefused, `${role} ${path} ${status}`);
      assert.notEqual(status, 401);
    }
  }
});

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
    assert.deepEqual(await ask("GET", "/v1/models"), { status: 500, code: "internal_error" });
  }
  rmSync(file);
  assert.equal((await ask("GET", "/v1/models")).status, 401);
  assert.equal(await new KeyFile(state).read(), null);
  assert.equal(adminKeys(["k".repeat(8)])[0]?.role, "admin");
});
