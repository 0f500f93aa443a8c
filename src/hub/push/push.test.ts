/** @file `graft push` against a small hub on this machine: what it is asked, what it is sent, and what is refused before. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { findMethod } from "../../peft/methods.ts";
import { attachTo, perturb } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { pushFolder } from "./push.ts";
import { type Said, runMain } from "../../../test/process/run-main.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { saveAdapter } from "../../../test/files/save-adapter.ts";
import { jsonLines } from "../../../test/files/read-json.ts";

const TOKEN = "hf_VERYSECRET";
const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const { base, checkpoint } = await openUntilEnd(model, { name: "owner/base" });
const adapter = await attachTo(base, findMethod("lora"), { rank: 2 });
perturb(adapter, 0.1);
const own = `${folder}/adapter`;
await saveAdapter(own, adapter, { base, checkpoint });
for (const name of ["config.yaml", "log.jsonl", "trainer_state.json", ".env", "notes.txt"]) {
  writeFileSync(`${own}/${name}`, "private");
}
mkdirSync(`${own}/checkpoint-3`);
symlinkSync("nowhere", `${own}/latest`);

interface Asked {
  readonly path: string;
  readonly token: string | undefined;
  readonly body: Buffer;
}

/** How the hub misbehaves. */
interface Faults {
  /** Answers requests to this path in place of the hub. */
  readonly at?: RegExp;
  readonly status?: number;
  readonly error?: string;
  /** The repository is there, and public or not. */
  readonly exists?: "public" | "private";
  /** It has the weights already. */
  readonly hasWeights?: boolean;
}

/** A hub that takes one push. */
async function startHub(faults: Faults = {}): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? "";
    const body = await buffer(request);
    asked.push({ path, token: request.headers.authorization, body });
    const send = (status: number, value: unknown): void =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (faults.at?.test(path)) return send(faults.status ?? 500, { error: faults.error ?? "broken" });
    if (path === "/api/repos/create") {
      return faults.exists === undefined
        ? send(200, { url: `${url}/owner/name`, id: "1" })
        : send(409, { error: "You already created this model repo" });
    }
    if (path.startsWith("/api/models/owner/name/revision/")) {
      return send(200, { id: "owner/name", private: faults.exists === "private", tags: [] });
    }
    if (path === "/api/models/owner/name/preupload/main") {
      const { files } = JSON.parse(body.toString()) as { files: { path: string }[] };
      const mode = (name: string): string => (name.endsWith(".safetensors") ? "lfs" : "regular");
      return send(200, { files: files.map((file) => ({ path: file.path, uploadMode: mode(file.path) })) });
    }
    if (path === "/owner/name.git/info/lfs/objects/batch") {
      const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
      const actions = faults.hasWeights ? {} : { actions: { upload: { href: `${url}/store` } } };
      return send(200, { transfer: "basic", objects: objects.map((object) => ({ ...object, ...actions })) });
    }
    if (path === "/store") return send(200, {});
    if (path === "/api/models/owner/name/commit/main") {
      return send(200, { commitOid: "c0ffee", commitUrl: `${url}/owner/name/commit/c0ffee`, hookOutput: "" });
    }
    return send(404, { error: "no such path" });
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, asked };
}

async function run(words: readonly string[], env: NodeJS.ProcessEnv): Promise<Said> {
  const said = await runMain(["push", ...words], env);
  assert.ok(!(said.stdout + said.stderr).includes(TOKEN), "a message holds the token");
  return said;
}

const PUBLIC_FILES = ["README.md", "adapter_config.json", "adapter_model.safetensors"];

test("graft push makes a repository, sends the weights and commits the files of the adapter alone", async () => {
  const { url, asked } = await startHub();
  const env = { HF_ENDPOINT: url, HF_TOKEN: TOKEN };
  const { status, stdout, stderr } = await run([own, "owner/name", "--private", "--json"], env);
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), {
    event: "done",
    name: "owner/name",
    url: `${url}/owner/name`,
    commit: "c0ffee",
    kind: "adapter",
    private: true,
    files: PUBLIC_FILES,
    left_out: [
      ".env",
      "checkpoint-3",
      "config.yaml",
      "latest",
      "log.jsonl",
      "notes.txt",
      "trainer_state.json",
    ],
    notes: [],
  });
  const sent = (path: string): Asked => asked.find((request) => request.path === path)!;
  const made = JSON.parse(sent("/api/repos/create").body.toString()) as Record<string, unknown>;
  assert.deepEqual([made["organization"], made["name"], made["visibility"]], ["owner", "name", "private"]);
  const weights = readFileSync(`${own}/adapter_model.safetensors`);
  assert.ok(sent("/store").body.equals(weights));
  const [header, ...entries] = jsonLines<{ key: string; value: Record<string, unknown> }>(
    sent("/api/models/owner/name/commit/main").body.toString(),
  );
  assert.equal(header?.value["summary"], "Add adapter with graft");
  assert.deepEqual(entries.map(({ key, value }) => `${key} ${String(value["path"])}`).toSorted(), [
    "file README.md",
    "file adapter_config.json",
    "lfsFile adapter_model.safetensors",
  ]);
  const large = entries.find(({ key }) => key === "lfsFile")?.value;
  assert.equal(large?.["oid"], createHash("sha256").update(weights).digest("hex"));
  const card = entries.find(({ value }) => value["path"] === "README.md")?.value;
  assert.equal(
    Buffer.from(String(card?.["content"]), "base64").toString(),
    readFileSync(`${own}/README.md`, "utf8"),
  );
  for (const { path, token } of asked) {
    assert.equal(token, path === "/store" ? undefined : `Bearer ${TOKEN}`, path);
  }
});

test("pushFolder() tells how many bytes are on their way, and at last that all are there", async () => {
  const { url } = await startHub();
  const told: (readonly [number, number])[] = [];
  const pushed = await pushFolder({
    folder: own,
    name: "owner/name",
    isPrivate: false,
    env: { HF_ENDPOINT: url, HF_TOKEN: TOKEN },
    signal: new AbortController().signal,
    onNote: () => assert.fail(),
    onProgress: (sent, total) => told.push([sent, total]),
  });
  const total = pushed.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  assert.deepEqual(told.at(-1), [total, total]);
  const weights = pushed.files.find(({ name }) => name === "adapter_model.safetensors");
  assert.ok(
    told.some(([sent]) => sent === weights?.sizeBytes),
    JSON.stringify(told),
  );
});

test("pushFolder() stops when it is told to", async () => {
  const { url, asked } = await startHub();
  const controller = new AbortController();
  controller.abort(new Error("enough"));
  const request = {
    folder: own,
    name: "owner/name",
    isPrivate: false,
    onNote: () => {},
    onProgress: () => {},
  };
  const env = { HF_ENDPOINT: url, HF_TOKEN: TOKEN };
  await assert.rejects(pushFolder({ ...request, env, signal: controller.signal }), /enough/);
  assert.ok(asked.every(({ path }) => !path.includes("commit")));
});

test("graft push sends a model too, into a repository that is there, and no file that the hub has", async () => {
  const { url, asked } = await startHub({ exists: "public", hasWeights: true });
  const { status, stdout, stderr } = await run([model, "owner/name"], { HF_ENDPOINT: url, HF_TOKEN: TOKEN });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^\d files, .*, are at http:\/\/127\.0\.0\.1:\d+\/owner\/name\n$/);
  assert.match(stderr, /warning: The folder has no README\.md/);
  assert.ok(asked.every(({ path }) => path !== "/store"));
  const there = await startHub({ exists: "private" });
  const env = { HF_ENDPOINT: there.url, HF_TOKEN: TOKEN };
  assert.equal((await run([model, "owner/name", "--private"], env)).status, 0);
});

test("pushFolder() tells what its owner should know before the hub is asked", async () => {
  const { url, asked } = await startHub();
  const told: (readonly [note: string, numAsked: number])[] = [];
  await pushFolder({
    folder: model,
    name: "owner/name",
    isPrivate: false,
    env: { HF_ENDPOINT: url, HF_TOKEN: TOKEN },
    signal: new AbortController().signal,
    onNote: (note) => told.push([note, asked.length]),
    onProgress: () => {},
  });
  assert.deepEqual(told, [["The folder has no README.md: its page will not show base, licence and data", 0]]);
});

describe("graft push refuses, before anything is sent,", () => {
  const nan = `${folder}/nan`;
  cpSync(own, nan, { recursive: true });
  const bytes = readFileSync(`${nan}/adapter_model.safetensors`);
  bytes.writeUInt32LE(0x7fc00000, bytes.length - 4);
  writeFileSync(`${nan}/adapter_model.safetensors`, bytes);
  const cut = `${folder}/cut`;
  cpSync(own, cut, { recursive: true });
  writeFileSync(`${cut}/adapter_model.safetensors`, bytes.subarray(0, bytes.length - 8));
  mkdirSync(`${folder}/empty`);
  mkdirSync(`${folder}/data`);
  writeFileSync(`${folder}/data/train.jsonl`, "{}\n");

  for (const [what, words, env, says, status] of [
    [
      "a folder without a model",
      [`${folder}/empty`, "owner/name"],
      {},
      /an empty folder, expected a folder/,
      1,
    ],
    ["a folder of data", [`${folder}/data`, "owner/name"], {}, /a data folder/, 1],
    ["a folder that is not there", [`${folder}/none`, "owner/name"], {}, /no such file/, 1],
    ["numbers that are none", [nan, "owner/name"], {}, /contains NaN/, 1],
    ["weights that are cut", [cut, "owner/name"], {}, /bytes, expected/, 1],
    ["a name without an owner", [own, "name"], {}, /expected OWNER\/NAME/, 2],
    ["a name that is a path", [own, "../name"], {}, /expected OWNER\/NAME/, 2],
    ["no token", [own, "owner/name"], { HF_TOKEN: "" }, /there is no token[\s\S]*hint: Create a token/, 2],
    ["a token that is none", [own, "owner/name"], { HF_TOKEN: `${TOKEN} x` }, /HF_TOKEN contains a space/, 2],
    [
      "to go online when it must not",
      [own, "owner/name"],
      { HF_HUB_OFFLINE: "1" },
      /HF_HUB_OFFLINE is set/,
      2,
    ],
  ] as const) {
    test(what, async () => {
      const { url, asked } = await startHub();
      const said = await run(words, { HF_ENDPOINT: url, HF_TOKEN: TOKEN, ...env });
      assert.match(said.stderr, says);
      assert.equal(said.status, status, said.stderr);
      assert.equal(said.stdout, "");
      assert.deepEqual(asked, []);
    });
  }
});

describe("graft push says what a hub answers, without the token:", () => {
  for (const [what, faults, says] of [
    [
      "a token without rights",
      { at: /create$/, status: 403, error: "Forbidden" },
      /answers 403: Forbidden[\s\S]*may write/,
    ],
    [
      "a card that it does not take, even if it quotes the token",
      { at: /commit\/main$/, status: 400, error: `bad\n card ${TOKEN}` },
      /answers 400: bad card HF_TOKEN\n/,
    ],
    ["a broken store", { at: /^\/store$/, status: 503 }, /answers 503: broken/],
  ] as const) {
    test(what, async () => {
      const { url } = await startHub(faults);
      const said = await run([own, "owner/name"], { HF_ENDPOINT: url, HF_TOKEN: TOKEN });
      assert.equal(said.status, 1, said.stderr);
      assert.match(said.stderr, /failed\/push/);
      assert.match(said.stderr, says);
    });
  }

  test("a public repository for what was to be private", async () => {
    const { url, asked } = await startHub({ exists: "public" });
    const said = await run([own, "owner/name", "--private"], { HF_ENDPOINT: url, HF_TOKEN: TOKEN });
    assert.equal(said.status, 2);
    assert.match(said.stderr, /as private: it exists and is public/);
    assert.ok(asked.every(({ path }) => !/commit|store/.test(path)));
  });

  test("a hub that cannot be reached is told with the reason", async () => {
    const said = await run([own, "owner/name"], { HF_ENDPOINT: "http://127.0.0.1:9", HF_TOKEN: TOKEN });
    assert.equal(said.status, 1);
    assert.match(said.stderr, /failed\/push.*: (the connection was refused|bad port)/);
  });
});
