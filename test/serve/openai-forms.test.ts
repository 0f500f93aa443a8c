/** @file Answers and refusals have the forms of OpenAI's interface to the last key, and of vLLM's where that has the route alone. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { after, test } from "node:test";
import { CapacityError, FailedError, UsageError } from "../../src/errors.ts";
import { withDisk } from "../../src/format/files/disk/calls.ts";
import { errorAnswer } from "../../src/server/api-error.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import { faultyDisk } from "../faults/faulty-disk.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";
import { uploadOf } from "./upload.ts";

const root = temporaryFolder();
const server = await serveTiny(root);
after(() => server.close());

const chat = { model: "tiny", messages: [{ role: "user", content: "ka" }], max_tokens: 3, temperature: 0 };
const completion = { model: "tiny", prompt: "ka lo", max_tokens: 3, temperature: 0 };
const EUROS = [0xe2, 0x82, 0xac];

interface LogProbs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  readonly text_offset: number[];
}

interface Body {
  readonly error: { readonly message: string; readonly param: string | null; readonly code: string };
  readonly choices: { text: string; finish_reason: string; logprobs: LogProbs }[];
  readonly usage: Record<"prompt_tokens" | "completion_tokens" | "total_tokens", number> | null;
}

async function post(path: string, body: unknown): Promise<{ status: number; body: Body }> {
  return (await server.post(path, body)) as { status: number; body: Body };
}

async function events(path: string, body: object): Promise<Body[]> {
  const { body: text } = await server.post(path, { ...body, stream: true });
  const lines = (text as string).split("\n").filter((line) => line.startsWith("data: {"));
  return lines.map((line) => JSON.parse(line.slice(6)) as Body);
}

test("what cannot be meant is refused by the key that it is in", async () => {
  const cases: [string, object, string | null, RegExp][] = [
    ["completions", { ...completion, prompt: "" }, "prompt", /empty/],
    ["completions", { ...completion, prompt: ["ka", ""] }, "prompt[1]", /empty/],
    ["completions", { ...completion, prompt: [[65], [-1]] }, "prompt[1]", /-1/],
    [
      "completions",
      { ...completion, prompt: 3 },
      "prompt",
      /text or a non-empty list of whole numbers or a non-empty list of texts/,
    ],
    ["completions", { ...completion, logit_bias: { 99999: 1 } }, "logit_bias", /99999/],
    ["completions", { ...completion, logit_bias: { 5: 101 } }, "logit_bias[5]", /a number from -100 to 100/],
    ["completions", { ...completion, stream: "yes" }, "stream", /true or false/],
    ["completions", { ...completion, stream_options: { include_usage: true } }, "stream_options", /stream/],
    ["chat/completions", { ...chat, stream_options: { include_usage: true } }, "stream_options", /stream/],
    ["chat/completions", { ...chat, top_logprobs: 2 }, "top_logprobs", /logprobs/],
    [
      "chat/completions",
      { ...chat, messages: [...chat.messages, { role: "assistant", audio: { id: "a" } }] },
      "messages[1].audio",
      /as content/,
    ],
    ["chat/completions", { ...chat, messages: [{ role: "user" }] }, "messages[0].content", /missing/],
    [
      "chat/completions",
      { ...chat, messages: [{ role: "user", content: null }] },
      "messages[0].content",
      /null/,
    ],
    [
      "fine_tuning/jobs",
      { model: "tiny", training_file: "file-1", integrations: [{ type: "wandb" }] },
      "integrations",
      /expected none/,
    ],
    ["embeddings", { model: "tiny", input: [] }, "input", /at most 2048 texts or/],
    ["chat/completions", { ...chat, messages: [] }, "messages", /a non-empty list of objects/],
    [
      "embeddings",
      { model: "tiny", input: [[]] },
      "input[0]",
      /^input\[0\] is \[\], expected .* or a non-empty list of whole numbers of at least 0$/,
    ],
    ["chat/completions", { ...chat, tools: [{ type: "custom" }] }, "tools[0].type", /expected function/],
    [
      "chat/completions",
      { ...chat, response_format: { type: "xml" } },
      "response_format.type",
      /json_schema/,
    ],
    [
      "chat/completions",
      { ...chat, messages: [{ role: "user", content: [{ type: "text", text: null }] }] },
      "messages[0].content[0]",
      /no text/,
    ],
    ["embeddings", { model: "tiny", input: [99999] }, "input", /99999/],
    ["load_lora_adapter", { lora_name: "tiny", lora_path: "poet" }, "lora_name", /tiny/],
    ["load_lora_adapter", { lora_name: "", lora_path: "poet" }, "lora_name", /on one line/],
  ];
  for (const [path, body, param, message] of cases) {
    const answer = await post(`/v1/${path}`, body);
    assert.equal(answer.status, 400, JSON.stringify(body));
    assert.equal(answer.body.error.param, param, answer.body.error.message);
    assert.match(answer.body.error.message, message);
    assert.notEqual(answer.body.error.code, "context_length_exceeded");
  }
  assert.deepEqual(server.errors, []);
});

test("a prompt that is given back has log-probabilities too, whole and in a stream, those of an evaluation", async () => {
  const asked = { ...completion, prompt: "ka lo mi", echo: true, logprobs: 2 };
  const { choices } = (await post("/v1/completions", asked)).body;
  const { tokens, token_logprobs: values, top_logprobs: tops, text_offset: offsets } = choices[0]!.logprobs;
  assert.equal(tokens.length, 8 + 3);
  assert.ok(choices[0]!.text.startsWith("ka lo mi"));
  assert.deepEqual([values[0], tops[0], offsets.slice(0, 8)], [null, null, [0, 1, 2, 3, 4, 5, 6, 7]]);
  assert.ok(values.slice(1).every((value, i) => tops[i + 1]![tokens[i + 1]!] === value && value < 0));
  const streamed = await events("/v1/completions", asked);
  const parts = streamed.flatMap((event) =>
    event.choices.map(({ logprobs }) => logprobs?.token_logprobs ?? []),
  );
  assert.deepEqual(parts.flat(), values);
  // Nothing need be written behind the prompt: texts are scored so.
  const scored = await post("/v1/completions", { ...asked, max_tokens: 0 });
  assert.deepEqual(scored.body.choices[0]!.logprobs.token_logprobs, values.slice(0, 8));
  assert.equal(scored.body.choices[0]!.finish_reason, "length");
  const full = Array.from({ length: server.state.model.maxTokens }, (_, i) => 65 + (i % 20));
  const whole = await post("/v1/completions", { ...asked, prompt: full, max_tokens: 0 });
  assert.equal(whole.body.choices[0]!.logprobs.token_logprobs.length, full.length);
  const ids = Int32Array.from(server.state.model.encodePrompt(asked.prompt));
  const evaluator = await Evaluator.create(server.state.model.engine.session, null);
  const example = {
    ids,
    weights: Float32Array.from(ids, (_, i) => Number(i > 0)),
    source: { file: "", line: 1 },
  };
  const { loss } = await evaluator.evaluate([example]);
  const sum = values.slice(1, 8).reduce<number>((all, value) => all + value!, 0);
  assert.ok(Math.abs(loss + sum / 7) < 1e-5, `${loss} ${sum / 7}`);
});

test("special tokens of a prompt that is given back are where they stand in it", async () => {
  const specials = [...server.state.model.parts.tokenizer.specialTokens.keys()];
  const prompt = `ka${specials.join(" ")}lo €${specials[0]!}mi`;
  const asked = { ...completion, prompt, echo: true, logprobs: 0, max_tokens: 2 };
  const [choice] = (await post("/v1/completions", asked)).body.choices;
  const { text, logprobs } = choice!;
  assert.ok(text.startsWith(prompt));
  const { tokens, text_offset: offsets } = logprobs;
  assert.ok(specials.every((special) => tokens.includes(special)));
  for (const [i, token] of tokens.entries()) {
    if (!token.startsWith("bytes:")) assert.ok(text.startsWith(token, offsets[i]), `${token} ${offsets[i]}`);
  }
});

test("the token that ends a text is in the lists of log-probabilities, where it has no text", async () => {
  const asked = { ...completion, logit_bias: { 257: 100 }, logprobs: 1 };
  const [choice] = (await post("/v1/completions", asked)).body.choices;
  const { tokens, text_offset: offsets } = choice!.logprobs;
  assert.deepEqual([choice!.text, choice!.finish_reason, tokens, offsets], ["", "stop", ["<|im_end|>"], [0]]);
  // Who scores a prompt asks for a token behind it, and leaves the last one of the lists out, whatever it is.
  const scored = await post("/v1/completions", { ...asked, echo: true, max_tokens: 1 });
  const alone = await post("/v1/completions", { ...asked, echo: true, max_tokens: 0 });
  const valuesOf = ({ body }: { body: Body }) => body.choices[0]!.logprobs.token_logprobs;
  assert.deepEqual(valuesOf(scored).slice(0, -1), valuesOf(alone));
  const streamed = await events("/v1/completions", { ...asked, echo: true, max_tokens: 1 });
  const parts = streamed.flatMap(({ choices }) => choices.flatMap(({ logprobs }) => logprobs.token_logprobs));
  assert.deepEqual(parts, valuesOf(scored));
});

test("tokens that are parts of characters are told by their bytes", async () => {
  const bias = Object.fromEntries(EUROS.map((byte) => [byte, 100]));
  const forced = { temperature: 1, seed: 1, logit_bias: bias, max_tokens: 4 };
  const told = await post("/v1/completions", { ...completion, ...forced, logprobs: 1 });
  const { tokens, token_logprobs: values, text_offset: offsets } = told.body.choices[0]!.logprobs;
  const written = Uint8Array.from(tokens, (token) => Number.parseInt(token.slice(8), 16));
  const places = tokens.map(
    (_, i) => Array.from(new TextDecoder().decode(written.subarray(0, i + 1))).length - 1,
  );
  assert.deepEqual(offsets, places);
  assert.ok(
    tokens.every((token) => /^bytes:\\x(e2|82|ac)$/.test(token)),
    tokens.join(),
  );
  assert.equal(values.length, 4);
  const answer = (await server.post("/v1/chat/completions", { ...chat, ...forced, logprobs: true })).body as {
    choices: { logprobs: { content: { token: string; bytes: number[] }[] } }[];
  };
  for (const { token, bytes } of answer.choices[0]!.logprobs.content) {
    assert.ok(bytes.length === 1 && EUROS.includes(bytes[0]!));
    assert.equal(token, `\\x${bytes[0]!.toString(16)}`);
  }
  // What is held back until a character is whole comes with the log-probabilities of all its tokens.
  const streamed = await events("/v1/completions", { ...completion, ...forced, logprobs: 1 });
  const parts = streamed.flatMap((event) => event.choices.map(({ logprobs }) => logprobs?.tokens ?? []));
  assert.deepEqual(parts.flat(), tokens);
  const streamedOffsets = streamed.flatMap(({ choices }) =>
    choices.flatMap(({ logprobs }) => logprobs?.text_offset ?? []),
  );
  assert.deepEqual(streamedOffsets, offsets);
});

test("usage is null in every event but the last where it is asked for", async () => {
  for (const [path, body] of [
    ["/v1/completions", completion],
    ["/v1/chat/completions", chat],
  ] as const) {
    const told = await events(path, { ...body, stream_options: { include_usage: true } });
    assert.deepEqual(
      told.slice(0, -1).map(({ usage }) => usage),
      told.slice(0, -1).map(() => null),
    );
    assert.ok(told.at(-1)?.usage && told.at(-1)?.choices.length === 0);
  }
});

test("every event tells the tokens of its text so far where that is asked for, as vLLM's do", async () => {
  for (const [path, body] of [
    ["/v1/completions", { ...completion, prompt: ["ka", "ka lo mi"] }],
    ["/v1/chat/completions", { ...chat, n: 2 }],
  ] as const) {
    const asked = { include_usage: true, continuous_usage_stats: true };
    const told = await events(path, { ...body, stream_options: asked });
    const { usage: all } = told.at(-1)!;
    const ends = told.flatMap(({ choices: [choice], usage }) => (choice?.finish_reason ? [usage] : []));
    assert.equal(ends.length, 2);
    for (const end of ends) assert.equal(end?.completion_tokens, 3);
    assert.equal(all?.completion_tokens, 6);
    const prompts = [...new Set(ends.map((end) => end!.prompt_tokens))];
    assert.equal(
      prompts.reduce((sum, prompt) => sum + prompt),
      all?.prompt_tokens,
    );
    for (const { usage } of told) {
      assert.equal(usage?.total_tokens, usage!.prompt_tokens + usage!.completion_tokens);
    }
  }
});

test("routes with names in them tell which methods they take", async () => {
  const cases: [string, string, string][] = [
    ["PATCH", "/v1/files/file-1", "GET, DELETE"],
    ["POST", "/v1/models/poet", "GET, DELETE"],
    ["GET", "/v1/fine_tuning/jobs/ftjob-1/cancel", "POST"],
    ["PUT", "/v1/chat/completions", "POST"],
    ["POST", "/openapi.json", "GET"],
  ];
  for (const [method, path, allow] of cases) {
    const answer = await server.app.request(path, { method });
    assert.deepEqual([answer.status, answer.headers.get("allow")], [405, allow], path);
  }
  assert.equal((await server.app.request("/openapixjson")).status, 404);
});

test("tokens are those of the model that is named, as vLLM tells them", async () => {
  const { body } = await server.post("/tokenize", { model: null, prompt: "ka", return_token_strs: true });
  assert.deepEqual(body, { count: 2, max_model_len: 512, tokens: [107, 97], token_strs: ["k", "a"] });
  assert.equal((await post("/tokenize", { model: "nobody", prompt: "ka" })).status, 404);
  const short = (await server.post("/tokenize", { messages: chat.messages, add_generation_prompt: false }))
    .body;
  const long = (await server.post("/tokenize", { messages: chat.messages })).body;
  assert.ok((short as { count: number }).count < (long as { count: number }).count);
  assert.equal((await post("/detokenize", { tokens: [99999] })).body.error.param, "tokens");
});

test("an adapter that cannot be read leaves the one of its name where it is", async () => {
  const load = { lora_name: "writer", lora_path: "poet" };
  assert.equal((await post("/v1/load_lora_adapter", load)).status, 200);
  const broken = { ...load, lora_path: ".", load_inplace: true };
  assert.notEqual((await post("/v1/load_lora_adapter", broken)).status, 200);
  const asked = { ...completion, model: "writer" };
  const before = await post("/v1/completions", asked);
  assert.equal(before.status, 200);
  assert.equal(
    (await post("/v1/load_lora_adapter", { ...load, lora_path: "clerk" })).body.error.param,
    "lora_name",
  );
  assert.equal(
    (await post("/v1/load_lora_adapter", { ...load, lora_path: "clerk", load_inplace: true })).status,
    200,
  );
  const replaced = await post("/v1/completions", asked);
  assert.notEqual(replaced.body.choices[0]!.text, before.body.choices[0]!.text);
});

test("an adapter that is not on the disk any more is the server's fault, of which its operator hears where", async () => {
  server.state.models.register("ghost", join(root, "nowhere"));
  const { status, body } = await post("/v1/completions", { ...completion, model: "ghost" });
  assert.deepEqual([status, body.error.code], [500, "engine/adapter"]);
  const told = server.errors.splice(0);
  assert.ok(!JSON.stringify(body).includes("nowhere"));
  assert.match(String((told[0] as Error).cause), /nowhere": no such file/);
  server.state.models.unload("ghost");
});

test("a full disk is one answer of every route, is told to the operator, and leaves nothing behind", async () => {
  const upload = async (): Promise<Response> =>
    await server.app.request("/v1/files", uploadOf('{"text": "ka"}\n'));
  let numFull = 0;
  for (; ; numFull++) {
    const answer = await withDisk(faultyDisk("write", numFull + 1).disk, upload);
    const { id, error } = (await answer.json()) as { id: string; error: Body["error"] & { type: string } };
    if (answer.status === 200) {
      await server.app.request(`/v1/files/${id}`, { method: "DELETE" });
      break;
    }
    assert.deepEqual(
      [answer.status, error.type, error.code],
      [503, "service_unavailable_error", "failed/write"],
    );
    assert.match(error.message, /^Cannot write file ".*": ENOSPC, expected .*\. Free some space on the disk/);
    assert.ok(!error.message.includes(root), error.message);
    assert.deepEqual(await server.state.fineTuning?.files.listFiles(), []);
  }
  assert.equal(numFull, 2);
  // Calls of the system that nothing has put into words, and faults that came of one.
  const full = Object.assign(new Error("made up"), { code: "ENOSPC", syscall: "mkdir", path: "files" });
  const away = errorAnswer(new FailedError("engine/adapter", "Cannot read the adapter", { cause: full }));
  for (const { status, body } of [
    errorAnswer(full),
    errorAnswer(new Error("made up", { cause: full })),
    away,
  ]) {
    assert.deepEqual([status, body.error.type], [503, "service_unavailable_error"]);
  }
  const told = server.errors.splice(0).map((error) => (error as FailedError).code);
  assert.deepEqual(told, ["failed/write", "failed/write"]);
});

test("a text that is too long is told as OpenAI tells it; a shortage of memory, and sizes that do not fit, as what they are", () => {
  const told = (error: Error): unknown[] => {
    const { status, body } = errorAnswer(error);
    return [status, body.error.code];
  };
  assert.deepEqual(told(new UsageError("usage/length", "long")), [400, "context_length_exceeded"]);
  assert.deepEqual(told(new UsageError("usage/shape", "wide")), [400, "usage/shape"]);
  assert.deepEqual(told(new CapacityError("capacity/memory", "large")), [503, "capacity/memory"]);
});

test("files are taken for training alone, with rows in them, and given back", async () => {
  const upload = async (
    content: string | Uint8Array<ArrayBuffer>,
    fields: Record<string, string>,
    name = "rows.jsonl",
  ): Promise<{ status: number; body: unknown }> => {
    const form = new FormData();
    for (const [key, value] of Object.entries({ purpose: "fine-tune", ...fields })) form.set(key, value);
    form.set("file", new File([content], name));
    const answer = await server.app.request("/v1/files", { method: "POST", body: form });
    return { status: answer.status, body: await answer.json() };
  };
  const row = '{"text": "ka"}\n';
  const cases: [string, Record<string, string>, string][] = [
    [row, { purpose: "pets" }, "purpose"],
    [row, { "expires_after[anchor]": "created_at" }, "expires_after[anchor]"],
    ["", {}, "file"],
    [`${row}[1]\n`, {}, "file"],
  ];
  for (const [content, fields, param] of cases) {
    const { status, body } = await upload(content, fields);
    assert.deepEqual([status, (body as Body).error.param], [400, param]);
  }
  for (const [name, content] of Object.entries({
    "a.json": '[{"text": "ka"}',
    "a.PARQUET": "PAR1 cut off",
  })) {
    const { status, body } = await upload(content, {}, name);
    assert.deepEqual([status, (body as Body).error.param], [400, "file"], name);
    assert.match((body as Body).error.message, /is not (JSON: .*position|Parquet)/);
  }
  for (const [name, content, found] of [
    ["a.csv", Uint8Array.of(0x61, 0x0a, 0xe4, 0x0a), /Line 2 of "a.csv" is not UTF-8/],
    ["a", Uint8Array.of(0xff, 0xfe, 0x61, 0), /Line 1 of "a" is not UTF-8/],
    ["a.ndjson", `${row}{`, /Line 2 of "a.ndjson" is not JSON/],
    ["upload", `${row}{`, /Line 2 of "upload" is not JSON/],
  ] as const) {
    const { status, body } = await upload(content, {}, name);
    assert.deepEqual([status, (body as Body).error.param], [400, "file"], name);
    assert.match((body as Body).error.message, found);
  }
  const many = row.repeat(60_000);
  for (const [name, content, found] of [
    [
      "a.jsonl.gz",
      Buffer.from("no such file"),
      /"a.jsonl.gz" cannot be unpacked: incorrect header check, expected a whole .gz/,
    ],
    ["a.jsonl.gz", gzipSync(many).subarray(0, -9), /cannot be unpacked: unexpected end/],
    ["a.jsonl.gz", gzipSync(`${row}{`), /Line 2 of "a.jsonl.gz" is not JSON/],
    ["a.jsonl.gz", gzipSync(`${many}[1]\n${many}`), /Line 60001 of "a.jsonl.gz" is not an object of JSON/],
    ["a.gz", gzipSync(Buffer.from([...Buffer.from(many), 0xe4])), /Line 60001 of "a.gz" is not UTF-8/],
    ["a.jsonl.gz", gzipSync("\n"), /has no rows/],
    ["a.jsonl.gz", gzipSync(""), /is empty/],
    [
      "a.jsonl.gz",
      gzipSync(`${row}{"text": "${"ka ".repeat(1 << 20)}"}`),
      /Line 2 of .* is longer than \d+ bytes/,
    ],
    ["a.txt.gz", gzipSync(Buffer.alloc(1 << 22, 0x80)), /Line 1 of "a.txt.gz" is not UTF-8/],
    [
      "a.csv.zst",
      Buffer.from("no such file"),
      /"a.csv.zst" cannot be unpacked: .*, expected a whole .zst file/,
    ],
    ["a.csv.zst", zstdCompressSync(Buffer.of(0x61, 0x0a, 0xe4)), /Line 2 of "a.csv.zst" is not UTF-8/],
    ["a.json.zst", zstdCompressSync('[{"text": "ka"}'), /"a.json.zst" is not JSON: .*position/],
    ["a.parquet.gz", gzipSync("PAR1 cut off"), /"a.parquet.gz" is not Parquet/],
  ] as const) {
    const { status, body } = await upload(Uint8Array.from(content), {}, name);
    assert.deepEqual([status, (body as Body).error?.param], [400, "file"], `${name} ${found}`);
    assert.match((body as Body).error.message, found);
  }
  for (const [name, content] of [
    ["b.jsonl.gz", gzipSync(many)],
    ["b.jsonl.zst", Buffer.concat([row, "", many].map((part) => zstdCompressSync(part)))],
    ["b.json.gz", gzipSync('[{"text": "ka"}]')],
    ["b.parquet.zst", zstdCompressSync("PAR1 and more PAR1")],
    ["b.txt.gz", gzipSync(`${"ka é€🙂 ".repeat(100_000)}\n\0`)],
  ] as const) {
    const { status, body } = await upload(Uint8Array.from(content), {}, name);
    assert.equal(status, 200, JSON.stringify(body));
    await server.app.request(`/v1/files/${(body as { id: string }).id}`, { method: "DELETE" });
  }
  // Joined of several files that each began with a byte order mark: read as a training reads it.
  const joined = await upload(`\uFEFF${row}\uFEFF${row}`, {}, "joined.jsonl");
  assert.equal(joined.status, 200, JSON.stringify(joined.body));
  await server.app.request(`/v1/files/${(joined.body as { id: string }).id}`, { method: "DELETE" });
  const whole = await upload('[{"text": "ka"}]', {}, "a.json");
  assert.equal(whole.status, 200);
  await server.app.request(`/v1/files/${(whole.body as { id: string }).id}`, { method: "DELETE" });
  const [first, second] = [await upload(row, {}), await upload(`${row}${row}`, {})];
  const [one, two] = [first.body as { id: string }, second.body as { id: string }];
  const get = async (path: string): Promise<Response> => await server.app.request(`/v1/files${path}`);
  assert.equal(await (await get(`/${one.id}/content`)).text(), row);
  const list = async (query: string): Promise<string[]> =>
    ((await (await get(query)).json()) as { data: { id: string }[] }).data.map(({ id }) => id);
  assert.deepEqual(await list(""), [two.id, one.id]);
  assert.deepEqual(await list("?order=asc&limit=1"), [one.id]);
  assert.deepEqual(await list(`?after=${two.id}`), [one.id]);
  assert.deepEqual(await list("?purpose=batch"), []);
  assert.equal((await get("?after=nothing")).status, 400);
  const job = { model: "tiny", training_file: one.id };
  const misspelt = await post("/v1/fine_tuning/jobs", { ...job, graft: { methd: "lora" } });
  assert.deepEqual([misspelt.status, misspelt.body.error.param], [400, "graft"]);
  assert.match(misspelt.body.error.message, /methd.*method/);
});

test("more new tokens than the model has room for are refused by the key that asks for them", async () => {
  const { max_tokens: _, ...open } = chat;
  for (const [path, body, param] of [
    ["completions", { ...completion, max_tokens: 1e9 }, "max_tokens"],
    ["chat/completions", { ...open, max_tokens: 1e9 }, "max_tokens"],
    ["chat/completions", { ...open, max_completion_tokens: 1e9 }, "max_completion_tokens"],
    ["responses", { model: "tiny", input: "ka", max_output_tokens: 1e9 }, "max_output_tokens"],
  ] as const) {
    const { status, body: told } = await post(`/v1/${path}`, body);
    assert.deepEqual([status, told.error.param, told.error.code], [400, param, "context_length_exceeded"]);
  }
});
