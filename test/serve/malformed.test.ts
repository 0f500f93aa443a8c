/**
 * @file What is not as it should be, on the wire and in bodies: OpenAI's error object or the end of the connection, never a
 * stack, never another request's data, and the server goes on.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { temporaryFolder } from "../tiny/model.ts";
import { exchange, openSocket, postText, receive } from "./raw-socket.ts";
import { listenTiny } from "./tiny-server.ts";

const root = temporaryFolder();
const { server, url } = await listenTiny(root);
const SECRET = "a-text-of-somebody-else";
const ASKED = { model: "tiny", prompt: "ka lo", max_tokens: 4, temperature: 0 };

/** Reads an error from what was received. */
function errorOf(received: string): { status: number; code: string; message: string; param: string | null } {
  const [head = "", ...rest] = received.split("\r\n\r\n");
  const body = rest.join("\r\n\r\n");
  const json = body.slice(body.indexOf("{"), body.lastIndexOf("}") + 1);
  const { error } = JSON.parse(json) as {
    error: { code: string; message: string; param: string | null; type: string };
  };
  assert.deepEqual(Object.keys(error), ["message", "type", "param", "code"]);
  assert.doesNotMatch(error.message, /\n\s+at |node:internal|\.ts:\d/);
  assert.ok(!received.includes(SECRET));
  return { ...error, status: Number(head.split(" ")[1]) };
}

const CLOSE = ["Connection: close"];

test("requests that are not HTTP are answered in the same form, and the connection ends", async () => {
  await exchange(url, postText("/v1/completions", { ...ASKED, prompt: SECRET }, CLOSE));
  const cases: [string, number][] = [
    ["what is this\r\n\r\n", 400],
    ["GET /v1/models HTTP/9.9\r\nHost: x\r\n\r\n", 400],
    ["GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n", 400],
    ["GET /v1/models HTTP/1.1\r\nHost: a b c/\\\r\nConnection: close\r\n\r\n", 400],
    ["GET /v1/models HTTP/1.1\r\nHost: a.999\r\nConnection: close\r\n\r\n", 400],
    [`GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(20_000)}\r\n\r\n`, 431],
    ["POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400],
    [
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["GET /v1/models HTTP/1.1\r\nHost: x\r\nX-A: 1\nX-B: 2\u0000\r\n\r\n", 400],
    ["BREW /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    ["PUT /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 405],
    ["GET /v1/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404],
    ["GET /v1/models/..%2f..%2fetc%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404],
    ["GET /v1/nothing HTTP/1.1\r\nHost: x\r\nExpect: more\r\nConnection: close\r\n\r\n", 404],
    ["CONNECT example.org:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405],
    ["GET /v1/models/%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404],
  ];
  for (const [sent, status] of cases) {
    const received = await exchange(url, sent);
    if (received === "" && sent.includes("x".repeat(20_000))) continue;
    assert.match(received, /^x-request-id: [\w-]{36}\r$/im, sent);
    assert.notEqual(received, "", sent.slice(0, 80));
    assert.equal(errorOf(received).status, status, sent.slice(0, 80));
  }
  assert.equal((await fetch(`${url}/health`)).status, 200);
  assert.deepEqual(server.errors, []);
});

test("requests one behind the other are answered in their order, and a broken one does not write into an answer", async () => {
  const sent = ["ka", "lo"].map((prompt) => postText("/v1/completions", { ...ASKED, prompt, echo: true }));
  const both = await exchange(url, `${sent.join("")}GET /health HTTP/1.1\r\nHost: x\r\n${CLOSE[0]}\r\n\r\n`);
  const places = ['"text":"ka', '"text":"lo', '"status":"ok"'].map((part) => both.indexOf(part));
  assert.ok(
    places.every((place, i) => place > (places[i - 1] ?? 0)),
    both,
  );
  const streaming = await openSocket(url);
  streaming.write(postText("/v1/completions", { ...ASKED, max_tokens: 200, stream: true }));
  let received = await receive(streaming, /"text"/);
  streaming.write("what is this\r\n\r\n");
  for await (const chunk of streaming) received += String(chunk);
  assert.equal(received.match(/HTTP\/1\.1/g)?.length, 1);
  assert.doesNotMatch(received, /invalid_request/);
});

test("bodies that are too large, cut off, compressed or of another encoding are refused", async () => {
  const chunked = `POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const chunk = `2000\r\n${"x".repeat(0x2000)}\r\n`;
  const zipped = gzipSync(JSON.stringify(ASKED));
  const head = (size: number, more = ""): string =>
    `POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n${more}Connection: close\r\n\r\n`;
  const latin = Buffer.from('{"model": "tiny", "prompt": "é"}', "latin1");
  const wide = Buffer.from(JSON.stringify(ASKED), "utf16le");
  const cases: [string | Buffer, number, string][] = [
    [head(1e12), 413, "body_too_large"],
    [chunked + chunk.repeat(16), 413, "body_too_large"],
    [
      Buffer.concat([Buffer.from(head(zipped.length, "Content-Encoding: gzip\r\n")), zipped]),
      415,
      "unsupported_encoding",
    ],
    [Buffer.concat([Buffer.from(head(latin.length)), latin]), 400, "invalid_json"],
    [Buffer.concat([Buffer.from(head(wide.length)), wide]), 400, "invalid_json"],
    [head(0), 400, "invalid_json"],
    [head(0, "Content-Encoding: Identity\r\n"), 400, "invalid_json"],
    [head(0, "Content-Encoding: \r\n"), 400, "invalid_json"],
    [`${chunked}zz\r\n`, 400, ""],
  ];
  for (const [sent, status, code] of cases) {
    const received = await exchange(url, sent);
    // A broken chunk comes while the request is in work: its connection ends.
    if (code === "" && received === "") continue;
    const error = errorOf(received);
    assert.equal(error.status, status, String(sent).slice(0, 200));
    if (code !== "") assert.equal(error.code, code);
  }
  const cut = await openSocket(url);
  cut.write(head(100) + '{"model"');
  cut.destroy();
  assert.equal((await fetch(`${url}/health`)).status, 200);
  assert.deepEqual(server.errors, []);
});

test("JSON that cannot be read says where, values that do not fit say which", async () => {
  const cases: [string, string, string | null, RegExp][] = [
    ['{"model": "tiny",, }', "invalid_json", null, /position 17/],
    ["x", "invalid_json", null, /position 0/],
    ['{"model": "tiny"', "invalid_json", null, /position 16/],
    ['{"model": "ti\nny"}', "invalid_json", null, /position 13/],
    ["[1, 2]", "invalid_value", null, /^the body is \[1,2\], expected values by name$/],
    ["null", "invalid_value", null, /^the body is null, expected values by name$/],
    ["[]", "invalid_value", null, /^the body is \[\], expected/],
    ["1", "invalid_value", null, /^the body is 1, expected/],
    ['"text"', "invalid_value", null, /^the body is "text", expected/],
    ["[[]]", "invalid_value", null, /^the body is \[\[\]\], expected/],
    [
      '{"model": "tiny", "prompt": ["ka", 3]}',
      "invalid_value",
      "prompt",
      /^prompt is \["ka",3\], expected text or/,
    ],
    [
      '{"model": "tiny", "prompt": "ka", "logit_bias": {"x": 1}}',
      "invalid_value",
      "logit_bias.x",
      /expected a token id/,
    ],
    ['{"model": "tiny", "prompt": "ka", "__proto__": {"stream": true}}', "invalid_value", "__proto__", /./],
    [`{"model": "${"m".repeat(50_000)}", "prompt": "ka"}`, "invalid_value", "model", /./],
    [`{"model": "tiny", "prompt": ${"[".repeat(40_000)}}`, "invalid_json", null, /position/],
    [`{"model": ${"[".repeat(40_000)}${"]".repeat(40_000)}}`, "invalid_json", null, /256 levels deep/],
    ['{"model": "tiiny", "prompt": "ka"}', "model_not_found", "model", /did you mean "tiny"/],
  ];
  for (const [body, code, param, message] of cases) {
    const error = errorOf(await exchange(url, postText("/v1/completions", body, CLOSE)));
    assert.equal(error.code, code, body.slice(0, 80));
    assert.equal(error.param, param, body.slice(0, 80));
    assert.match(error.message, message);
    assert.ok(error.message.length < 5000);
  }
  assert.deepEqual(server.errors, []);
});

test("words of a request that are long are cut in what it is told, values and keys alike", async () => {
  const long = "n".repeat(70_000);
  const input = [{ role: "user", content: [{ type: long, text: "ka" }] }];
  const cases: readonly (readonly [path: string, body: object, told: RegExp])[] = [
    ["/v1/unload_lora_adapter", { lora_name: long }, /^The adapter "nnn.* … .*n" is not loaded$/],
    ["/v1/responses", { model: "tiny", input }, /has the type "nnn.* … .*n", expected input_text$/],
    ["/v1/completions", { ...ASKED, [long]: 1 }, /^nnn.* … .* is not a setting$/],
  ];
  for (const [path, body, told] of cases) {
    const { message, param } = errorOf(await exchange(url, postText(path, body, CLOSE)));
    assert.match(message, told);
    assert.ok(message.length < 5000 && param!.length < 5000);
  }
});

test("names cannot break headers, events or paths", async () => {
  const load = (name: string, path: string): Promise<string> =>
    exchange(url, postText("/v1/load_lora_adapter", { lora_name: name, lora_path: path }, CLOSE));
  for (const name of ["a\r\nX-Injected: 1", "a\ndata: [DONE]\n\n", "a\u2028b", "", "n".repeat(1000)]) {
    const error = errorOf(await load(name, "poet"));
    assert.deepEqual([error.status, error.param], [400, "lora_name"]);
  }
  for (const path of ["../model", "/etc", "..", "poet/../../model", "poet\u0000", "~", `${root}/model`]) {
    const error = errorOf(await load("x", path));
    assert.deepEqual([error.status, error.code], [404, "adapter_not_found"], path);
    assert.ok(!error.message.includes(root) || path.includes(root));
  }
  const odd = 'quote" and {brace}, \\ and é';
  assert.match(await load(odd, "poet"), /^HTTP\/1\.1 200/);
  const body = { ...ASKED, model: odd, stream: true, logit_bias: { 10: 100 }, max_tokens: 5 };
  const streamed = await exchange(url, postText("/v1/completions", body, CLOSE));
  const events = streamed.split("\n").filter((line) => line.startsWith("data: {"));
  const texts = events.map(
    (line) => JSON.parse(line.slice(6)) as { choices: { text: string }[]; model: string },
  );
  assert.equal(texts.map(({ choices }) => choices[0]?.text).join(""), "\n".repeat(5));
  assert.ok(texts.every(({ model }) => model === odd));
  assert.match(await (await fetch(`${url}/metrics`)).text(), /adapter="quote\\" and/);
});

test("files keep their names as words, and lie where the server says", async () => {
  const upload = async (
    name: string,
    content = '{"text": "ka"}\n',
    purpose = "fine-tune",
  ): Promise<string> => {
    const form = new FormData();
    form.set("purpose", purpose);
    form.set("file", new File([content], name));
    const answer = await fetch(`${url}/v1/files`, { method: "POST", body: form });
    return `HTTP/1.1 ${answer.status} x\r\n\r\n${await answer.text()}`;
  };
  const files = join(root, "state", "files");
  for (const name of [
    "../../escaped.jsonl",
    "/tmp/escaped.jsonl",
    "a\nb.jsonl",
    "..",
    "x.jsonl/../../../y",
  ]) {
    assert.match(await upload(name), /^HTTP\/1\.1 (200|400)/);
  }
  assert.ok(!existsSync(join(root, "escaped.jsonl")) && !existsSync("/tmp/escaped.jsonl"));
  // As curl writes quotes; what looks so in the file stays. A boundary is one where it is all that a line has.
  const part = (head: string, content: string): string =>
    `--b\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`;
  const purpose = part('name="purpose"', "fine-tune");
  const data = `"\\"ka\\"" --b\r\n--bb\r\n--b ka--b--\r\n`;
  const file = part('name="file"; filename="ä \\"b\\".txt"', data);
  const headers = { "content-type": "multipart/form-data; boundary=b" };
  const send = (body: string): Promise<Response> =>
    fetch(`${url}/v1/files`, { method: "POST", body: `${body}--b--\r\n`, headers });
  const answer = await send(purpose + file);
  const { id: quotedId, filename } = (await answer.json()) as { id: string; filename: string };
  assert.equal(filename, 'ä "b".txt');
  assert.equal(await (await fetch(`${url}/v1/files/${quotedId}/content`)).text(), data);
  for (const twice of [file, purpose]) {
    const refused = await send(purpose + file + twice);
    assert.match(await refused.text(), /(file|purpose) is given more than once.*"param":"\1"/);
  }
  for (const folder of readdirSync(files)) {
    assert.ok(readdirSync(join(files, folder)).every((name) => /^(file\.json|data\.\w+)$/.test(name)));
  }
  assert.equal(errorOf(await upload("n".repeat(5000))).param, "file");
  const broken = errorOf(await upload("rows.jsonl", '{"text": "ka"}\n{"text": \n'));
  assert.deepEqual([broken.status, broken.param], [400, "file"]);
  assert.match(broken.message, /Line 2/);
  const cases = [
    postText("/v1/files", { file: "x" }, CLOSE),
    `POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 20\r\nConnection: close\r\n\r\n--b\r\nbroken\r\n\r\n12345`,
  ];
  for (const sent of cases) assert.equal(errorOf(await exchange(url, sent)).status, 400);
  for (const id of ["..", "%2e%2e%2f%2e%2e", "file-..%2f..%2fkeys.json", "file-0%00"]) {
    const answer = await fetch(`${url}/v1/files/${id}`, { method: "DELETE" });
    assert.ok(answer.status === 404 || answer.status === 405);
  }
  assert.deepEqual(server.errors, []);
});
