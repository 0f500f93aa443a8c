/** @file A stream that goes on in another server has the text that it would have had, no piece told twice and none lost. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { type TinyServer, serveTiny } from "./tiny-server.ts";
import { writeTinyAdapter } from "../tiny/adapter.ts";

const roots = [temporaryFolder(), temporaryFolder()] as const;
const here = await serveTiny(roots[0]);
const there = await serveTiny(roots[1]);
after(() => Promise.all([here.close(), there.close()]));

interface Score {
  readonly token: string;
  readonly logprob: number;
  readonly top_logprobs: readonly Score[];
}

interface Event {
  readonly id: string;
  /** Of the Responses API. */
  readonly type?: string;
  readonly sequence_number?: number;
  readonly item_id?: string;
  readonly logprobs?: readonly Score[];
  readonly delta?: string;
  readonly response?: {
    readonly id: string;
    readonly incomplete_details: { readonly reason: string } | null;
    readonly output: readonly {
      readonly id: string;
      readonly content: readonly { readonly text: string; readonly logprobs?: readonly Score[] }[];
    }[];
    readonly usage: object;
  };
  readonly choices: {
    text?: string;
    logprobs?: { text_offset: number[] };
    delta?: { content?: string; role?: string };
    finish_reason: string | null;
  }[];
}

/** The events of a stream; after so many, `then` is called, and the rest is read. */
async function read(
  server: TinyServer,
  path: string,
  body: object,
  then?: [number, (id: string) => Promise<void>],
) {
  const answer = await server.app.request(path, { method: "POST", body: JSON.stringify(body) });
  assert.equal(answer.status, 200, answer.status === 200 ? "" : await answer.clone().text());
  const events: Event[] = [];
  let rest = "";
  let called: Promise<void> | null = null;
  const decoder = new TextDecoder();
  for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n\n");
    rest = lines.pop()!;
    events.push(
      ...lines.flatMap((line) => {
        const data = /^data: (\{.*)$/m.exec(line)?.[1];
        return data === undefined ? [] : [JSON.parse(data) as Event];
      }),
    );
    if (then && !called && events.length >= then[0])
      called = then[1](events[0]?.id ?? events[0]?.response?.id ?? "");
  }
  await called;
  return events;
}

const textOf = (events: readonly Event[]): string =>
  events.map(({ choices: [choice] }) => choice?.text ?? choice?.delta?.content ?? "").join("");

const offsetsOf = (events: readonly Event[]): number[] =>
  events.flatMap(({ choices: [choice] }) => choice?.logprobs?.text_offset ?? []);

const chat = { model: "poet", messages: [{ role: "user", content: "ka" }], max_tokens: 120, stream: true };
const completion = {
  model: "poet",
  prompt: "ka lo",
  max_tokens: 120,
  stream: true,
  logit_bias: { 256: -100, 257: -100 },
};
const schema = { type: "array", items: { type: "integer" }, minItems: 40, maxItems: 60 };
const form = { type: "json_schema", json_schema: { name: "numbers", schema } };
const CASES: readonly (readonly [string, string, object])[] = [
  ["sampled", "/v1/completions", { ...completion, seed: 5, presence_penalty: 1, echo: true, logprobs: 0 }],
  ["without a seed", "/v1/completions", { ...completion, top_k: 40 }],
  ["greedy, up to a stop string", "/v1/completions", { ...completion, temperature: 0, stop: ["never"] }],
  ["held to a schema", "/v1/chat/completions", { ...chat, seed: 3, response_format: form }],
];

for (const server of [here, there]) {
  await server.post("/v1/load_lora_adapter", { lora_name: "poet", lora_path: "poet" });
}

for (const [name, path, body] of CASES) {
  test(`a text that is ${name} goes on elsewhere`, async () => {
    let moved = "";
    const begun = await read(here, path, body, [
      6,
      async (id) => {
        const answer = await here.app.request(`/v1/requests/${id}/export`, { method: "POST" });
        moved = await answer.text();
        assert.equal(answer.status, 200, moved);
      },
    ]);
    assert.equal(begun.at(-1)?.choices[0]?.finish_reason, "abort");
    const ended = await read(there, "/v1/requests/import", JSON.parse(moved) as object);
    assert.equal(ended[0]?.id, begun[0]?.id);
    const { seed } = (JSON.parse(moved) as { body: { seed: number } }).body;
    const whole = await read(there, path, { ...body, seed });
    assert.ok(textOf(ended) !== "" && textOf(begun) !== "");
    assert.equal(textOf(begun) + textOf(ended), textOf(whole));
    assert.deepEqual([...offsetsOf(begun), ...offsetsOf(ended)], offsetsOf(whole));
    assert.equal(ended.at(-1)?.choices[0]?.finish_reason, whole.at(-1)?.choices[0]?.finish_reason);
    assert.ok(ended.every(({ choices }) => choices[0]?.delta?.role === undefined));
  });
}

test("a response goes on elsewhere with its numbers and ids, and its end has all of it", async () => {
  const path = "/v1/responses";
  const body = {
    model: "poet",
    input: "ka",
    max_output_tokens: 120,
    stream: true,
    seed: 4,
    ignore_eos: true,
  };
  let moved = {};
  const begun = await read(here, path, body, [
    8,
    async (id) => void (moved = (await here.post(`/v1/requests/${id}/export`, {})).body as object),
  ]);
  const left = begun.pop();
  assert.deepEqual(
    [left?.type, left?.response?.incomplete_details?.reason],
    ["response.incomplete", "abort"],
  );
  const ended = await read(there, "/v1/requests/import", moved);
  const whole = await read(there, path, body);
  const all = [...begun, ...ended];
  assert.deepEqual(
    all.map(({ type, sequence_number, delta }) => [type, sequence_number, delta]),
    whole.map(({ type, sequence_number, delta }) => [type, sequence_number, delta]),
  );
  const of = (events: readonly Event[]): NonNullable<Event["response"]> => events.at(-1)!.response!;
  assert.equal(of(ended).id, begun[0]?.response?.id);
  assert.deepEqual(of(ended).usage, of(whole).usage);
  const [item, ...others] = of(ended).output;
  assert.deepEqual([item?.content, others], [of(whole).output[0]?.content, []]);
  assert.deepEqual(new Set(all.flatMap(({ item_id }) => item_id ?? [])), new Set([item?.id]));
});

test("a response goes on with its log-probabilities, which its end tells once more", async () => {
  const path = "/v1/responses";
  const include = ["message.output_text.logprobs"];
  const body = {
    model: "tiny",
    input: "ka",
    max_output_tokens: 60,
    stream: true,
    seed: 4,
    ignore_eos: true,
    include,
    top_logprobs: 2,
  };
  let moved = {};
  const keep = async (server: TinyServer, id: string): Promise<void> =>
    void (moved = (await server.post(`/v1/requests/${id}/export`, {})).body as object);
  const events = (await read(here, path, body, [8, (id) => keep(here, id)])).slice(0, -1);
  const id = events[0]!.response!.id;
  events.push(...(await read(there, "/v1/requests/import", moved, [8, () => keep(there, id)])).slice(0, -1));
  events.push(...(await read(here, "/v1/requests/import", moved)));
  const whole = await read(here, path, body);
  // What was told in pieces, and what is told of all at the end.
  const scoresOf = (all: readonly Event[]) => ({
    pieces: all.flatMap(({ type, logprobs }) => (type?.endsWith(".delta") ? (logprobs ?? []) : [])),
    end: all.at(-1)?.response?.output[0]?.content[0]?.logprobs ?? [],
  });
  const { pieces, end } = scoresOf(events);
  assert.deepEqual(end, pieces);
  const expected = scoresOf(whole).end;
  assert.ok(expected.length > 30);
  assert.deepEqual(
    end.map(({ token, top_logprobs: top }) => [token, top.map((each) => each.token)]),
    expected.map(({ token, top_logprobs: top }) => [token, top.map((each) => each.token)]),
  );
  // Where keys and values are computed again numbers are rounded otherwise.
  for (const [i, { logprob }] of end.entries())
    assert.ok(Math.abs(logprob - expected[i]!.logprob) < 1e-4, `${i}`);
});

test("a text goes on with the adapter that it was begun with, whatever has its name meanwhile", async () => {
  const root = temporaryFolder();
  // So long a text is being written still when its adapter is another one, on machines however fast.
  const maxTokens = 4000;
  const config = { max_position_embeddings: maxTokens + 96 };
  const model = await writeTinyModel(join(root, "model"), { config });
  for (const [name, method] of [
    ["poet", "lora"],
    ["clerk", "road"],
  ] as const)
    await writeTinyAdapter(model, join(root, "adapters", name), method, name.length);
  const server = await serveTiny(root, { model });
  after(() => server.close());
  const load = (path: string) =>
    server.post("/v1/load_lora_adapter", { lora_name: "poet", lora_path: path, load_inplace: true });
  const hashOf = async (change: () => Promise<unknown>): Promise<unknown> => {
    await load("poet");
    let moved: Record<string, unknown> = {};
    await read(server, "/v1/completions", { ...completion, max_tokens: maxTokens }, [
      4,
      async (id) => {
        await change();
        moved = (await server.post(`/v1/requests/${id}/export`, {})).body as typeof moved;
      },
    ]);
    return moved["adapter"];
  };
  const poet = await hashOf(async () => {});
  assert.equal(typeof poet, "string");
  assert.equal(await hashOf(() => load("clerk")), poet);
  assert.equal(await hashOf(() => server.post("/v1/unload_lora_adapter", { lora_name: "poet" })), poet);
});

test("what does not run, or would go on otherwise, is refused", async () => {
  assert.equal((await here.post("/v1/requests/cmpl-0/export", {})).status, 404);
  let moved: Record<string, unknown> = {};
  await read(here, "/v1/completions", completion, [
    3,
    async (id) => void (moved = (await here.post(`/v1/requests/${id}/export`, {})).body as typeof moved),
  ]);
  await writeTinyAdapter(join(roots[1], "model"), join(roots[1], "adapters", "other"), "lora", 9);
  const load = { lora_name: "poet", lora_path: "other", load_inplace: true };
  await there.post("/v1/load_lora_adapter", load);
  for (const [changes, param] of [
    [{}, "adapter"],
    [{ base: "0" }, "base"],
    [{ body: { model: "poet" } }, "prompt"],
    [{ path: "/v1/files" }, "path"],
  ] as const) {
    const { status, body } = await there.post("/v1/requests/import", { ...moved, ...changes });
    assert.deepEqual([status, (body as { error: { param: string } }).error.param], [400, param]);
  }
  const text = { ...moved, adapter: null, written_ids: [97, 98, 99] };
  const body = { ...completion, model: "tiny", seed: 1, max_tokens: 8 };
  for (const [changes, param, message] of [
    [{ body: { ...body, n: 2 } }, "body.n", /n is 2, expected 1/],
    [{ body: { ...body, prompt: ["ka", "lo"] } }, "body.prompt", /2 prompts, expected one/],
    [{ body, written_ids: [97, 99_999_999] }, "written_ids", /the id 99999999, expected ids from 0 to/],
    [{ body, written_ids: Array(9).fill(97) }, "written_ids", /9 ids, expected at most 8/],
    [{ body, written_ids: Array(2000).fill(257) }, "written_ids", /2000 ids, expected at most 8/],
    [
      { path: "/v1/chat/completions", body: { ...chat, model: "tiny", max_tokens: 2 } },
      "written_ids",
      /at most 2/,
    ],
    [
      { path: "/v1/chat/completions", body: { ...chat, model: "tiny" }, written_log_probs: [null] },
      "written_log_probs",
      /has 1, expected one for each of 3/,
    ],
  ] as const) {
    const answer = await there.post("/v1/requests/import", { ...text, ...changes });
    const { error } = answer.body as { error: { param: string; message: string } };
    assert.deepEqual([answer.status, error.param], [400, param]);
    assert.match(error.message, message);
  }
  const ids = Array.from({ length: 8 }, () => 97);
  const whole = await read(there, "/v1/requests/import", { ...text, body, written_ids: ids });
  assert.equal(whole.at(-1)?.choices[0]?.finish_reason, "length");
  assert.deepEqual([here.errors, there.errors], [[], []]);
});

test("a text goes on at a server of equal settings, or from one that tells none, and nowhere else", async () => {
  const root = temporaryFolder();
  const server = await serveTiny(root, {
    model: await writeTinyModel(join(root, "model"), { config: { rope_theta: 20_000 } }),
  });
  after(() => server.close());
  const body = { ...completion, model: "tiny" };
  let moved: Record<string, unknown> = {};
  await read(here, "/v1/completions", body, [
    3,
    async (id) => void (moved = (await here.post(`/v1/requests/${id}/export`, {})).body as typeof moved),
  ]);
  const { status, body: answer } = await server.post("/v1/requests/import", moved);
  assert.deepEqual([status, (answer as { error: { param: string } }).error.param], [400, "base"]);
  const older = { ...moved, base: String(moved["base"]).slice(0, 16) };
  assert.match(textOf(await read(here, "/v1/requests/import", older)), /./);
});
