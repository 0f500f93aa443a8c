/** @file Whatever goes wrong at whichever route, the answer is OpenAI's error object. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { adminKeys } from "../../src/server/access/api-keys.ts";
import { ERROR_BODY } from "../../src/server/api-error.ts";
import { createApp } from "../../src/server/app.ts";
import type { Route } from "../../src/server/route.ts";
import { ROUTES } from "../../src/server/routes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";

const server = await serveTiny(temporaryFolder(), { limits: { requestsPerMinute: 1e6 } });
after(() => server.close());
const { state } = server;
type App = typeof server.app;

const keyed = createApp(state, ROUTES, { readKeys: async () => adminKeys(["a-long-key"]), corsOrigins: [] });
const broken = createApp(state, ROUTES, {
  readKeys: () => Promise.reject(new Error("what nobody expects")),
  corsOrigins: [],
});
const limited = createApp(
  new Proxy(state, {
    get: (target, key, self) =>
      key === "limits"
        ? { ...target.limits, requestsPerMinute: 1 }
        : (Reflect.get(target, key, self) as unknown),
  }),
  ROUTES,
  { readKeys: async () => null, corsOrigins: [] },
);
await limited.request("/v1/models");

interface Fault {
  readonly app?: App;
  readonly method?: string;
  /** What is sent where a request has a body. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What is wrong with a request, and what is answered to it: 404 where the path names something. */
const FAULTS: Readonly<Record<string, readonly [Fault, ...number[]]>> = {
  "is empty": [{ body: "{}" }, 400, 404],
  "is no JSON": [{ body: "{" }, 400, 404],
  "is no object": [{ body: "[7]" }, 400, 404],
  "has an unknown key": [{ body: '{"model": "tiny", "modle": 1}' }, 400, 404],
  "has another method": [{ method: "PUT" }, 405],
  "has a large body": [{ body: " ".repeat(2e5) }, 404, 413],
  "has a compressed body": [{ headers: { "content-encoding": "gzip" } }, 404, 415],
  "comes from another origin": [{ headers: { origin: "https://example.org" } }, 403],
  "has no key": [{ app: keyed }, 401],
  "has a wrong key": [{ app: keyed, headers: { authorization: "Bearer wrong" } }, 401],
  "comes while keys cannot be read": [{ app: broken }, 503],
  "is one more than a minute may have": [{ app: limited }, 429],
};

/** Asks all routes, and holds answers to what went wrong against the form of errors; their statuses. */
async function failuresOf(
  { app = server.app, method, body = "{}", headers = {} }: Fault,
  routes: readonly Route[] = ROUTES,
): Promise<number[]> {
  const seen = new Set<number>();
  for (const route of routes) {
    const path = route.path.replace(/:\w+(\{.+?\})?/g, "none");
    const sent = method ?? route.method.toUpperCase();
    const answer = await app.request(path, { method: sent, body: sent === "GET" ? null : body, headers });
    const name = `${sent} ${path}: ${answer.status}`;
    assert.match(answer.headers.get("x-request-id") ?? "", /^[\w-]{36}$/, name);
    if (answer.ok) assert.ok(sent === "GET", name);
    else {
      seen.add(answer.status);
      assert.match(answer.headers.get("content-type") ?? "", /^application\/json/, name);
      const { error } = ERROR_BODY.parse(await answer.json(), { error: () => name });
      assert.ok(error.message !== "" && error.code !== null && error.code !== "", name);
    }
  }
  return [...seen].toSorted((one, other) => one - other);
}

for (const [fault, [sent, ...statuses]] of Object.entries(FAULTS)) {
  test(`a request that ${fault}`, async () => {
    assert.deepEqual(await failuresOf(sent), statuses);
  });
}

test("a request to a server that stops", async () => {
  state.isDraining = true;
  const moves = ROUTES.filter(({ whileStopping }) => whileStopping);
  assert.deepEqual(
    moves.map(({ path }) => path),
    ["/v1/requests/:id/export"],
  );
  const others = ROUTES.filter((route) => !moves.includes(route));
  assert.deepEqual(await failuresOf({}, others), [503]);
  assert.deepEqual(await failuresOf({}, moves), [404]);
  const ready = await server.app.request("/ready");
  assert.equal(ready.status, 503);
  assert.ok(Number(ready.headers.get("retry-after")) > 0);
  state.isDraining = false;
  assert.equal((await server.app.request("/ready")).status, 200);
});

test("errors tell clients the names of models for their folders, and leave words and other paths alone", () => {
  const { path } = state.model.parts.checkpoint;
  state.models.register("a$&b", "/srv/out");
  state.models.register("math", "out");
  for (const [text, told] of [
    [`Cannot read "${path}/config.json"`, 'Cannot read "tiny/config.json"'],
    ['Cannot read "/srv/out": it is a file', 'Cannot read "a$&b": it is a file'],
    ["Cannot go on without /srv/out.", "Cannot go on without a$&b."],
    [
      "/srv/output, /srv/out-2, /srv/out.bak, /old/srv/out",
      "/srv/output, /srv/out-2, /srv/out.bak, /old/srv/out",
    ],
  ] as const) {
    assert.equal(state.named(text), told);
  }
  for (const name of ["a$&b", "math"]) state.models.forget(name);
});
