/** @file Classes over HTTP: those that the command tells, by the head of a model or of an adapter, and what is refused. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { openTextParts } from "../../src/engine/open-text-model.ts";
import { chooseCompute } from "../../src/engine/opening/choose-compute.ts";
import { runMain } from "../process/run-main.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { writeTinyRows } from "../tiny/rows.ts";
import { type TinyServer, serveTiny } from "./tiny-server.ts";
import { jsonLines } from "../files/read-json.ts";

const root = temporaryFolder();
const TEXTS = ["ka lo mi", "so nu", "ka"];

interface Told {
  readonly id: string;
  readonly data: readonly { index: number; label: string; probs: number[]; num_classes: number }[];
  readonly usage: { readonly prompt_tokens: number };
}

interface Added {
  readonly id: number;
  readonly content: string;
}

async function graft(...words: string[]): Promise<Record<string, unknown>[]> {
  const { status, stdout, stderr } = await runMain([...words, "--threads", "1", "--json"], {
    GRAFT_HOME: root,
  });
  assert.equal(status, 0, stdout + stderr);
  return jsonLines(stdout);
}

/** What the command tells of a text: its class, and the probabilities by class or its numbers. */
async function byCommand(text: string, ...words: string[]): Promise<[unknown, number[]]> {
  const [{ predicted, scores } = {}] = await graft("classify", ...words, "--text", text);
  const numbers = scores === undefined ? [predicted] : Object.values(scores as object);
  return [predicted, numbers as number[]];
}

async function open(name: string, options: Parameters<typeof serveTiny>[1]): Promise<TinyServer> {
  const folder = join(root, name);
  mkdirSync(join(folder, "adapters"), { recursive: true });
  const server = await serveTiny(folder, options);
  after(() => server.close());
  return server;
}

async function ask(server: TinyServer, input: unknown, model = "tiny"): Promise<Told> {
  const { status, body } = await server.post("/classify", { model, input });
  assert.equal(status, 200, JSON.stringify(body));
  return body as Told;
}

function requireClose(told: readonly number[], expected: readonly number[]): void {
  assert.equal(told.length, expected.length);
  for (const [i, value] of told.entries()) assert.ok(Math.abs(value - expected[i]!) < 1e-5, told.join());
}

const MODELS = {
  bert: { id2label: { 0: "bad", 1: "good" } },
  modernbert: { id2label: { 0: "b", 1: "a", 2: "c" }, problem_type: "multi_label_classification" },
  roberta: { id2label: { 0: "LABEL_0" }, problem_type: "regression" },
};

for (const [modelType, config] of Object.entries(MODELS)) {
  test(`${modelType} tells of each text what the command does`, async () => {
    const model = await writeTinyModel(join(root, modelType), { modelType, config });
    const server = await open(`server-${modelType}`, { model });
    const { data, id, usage } = await ask(server, TEXTS);
    assert.match(id, /^classify-/);
    for (const [i, text] of TEXTS.entries()) {
      const { index, label, probs, num_classes } = data[i]!;
      const [predicted, expected] = await byCommand(text, "--model", model);
      assert.deepEqual([index, num_classes], [i, expected.length]);
      requireClose(probs, expected);
      if (typeof predicted === "string") assert.equal(label, predicted);
    }
    const alone = await ask(server, TEXTS[0]);
    requireClose(alone.data[0]!.probs, data[0]!.probs);
    const { body } = await server.post("/tokenize", { prompt: TEXTS[0] });
    const { tokens } = body as { tokens: number[] };
    requireClose((await ask(server, tokens)).data[0]!.probs, data[0]!.probs);
    assert.equal(alone.usage.prompt_tokens, tokens.length);
    assert.ok(usage.prompt_tokens > tokens.length);
    const metrics = await (await server.app.request("/metrics")).text();
    assert.match(metrics, /graft_requests_total\{adapter="tiny",finished_reason="stop"\} 5/);
    const numTokens = usage.prompt_tokens + 2 * alone.usage.prompt_tokens;
    for (const name of [
      'graft_tokens_total\\{adapter="tiny",kind="prompt"\\}',
      "graft_prompt_tokens_total",
      'vllm:prompt_tokens_total\\{model_name="tiny"\\}',
    ])
      assert.match(metrics, new RegExp(`^${name} ${numTokens}$`, "m"));
    assert.deepEqual(server.errors, []);
  });
}

test("many who ask at once are each told their own", async () => {
  const model = await writeTinyModel(join(root, "many"), { modelType: "bert", config: MODELS.bert });
  const server = await open("server-many", { model });
  const texts = Array.from({ length: 12 }, (_, i) => "ka lo ".repeat(1 + (i % 6)) + i);
  const alone = [];
  for (const text of texts) alone.push((await ask(server, text)).data[0]!.probs);
  const together = await Promise.all(texts.map((text) => ask(server, [text, text])));
  for (const [i, { data }] of together.entries())
    for (const { probs } of data) requireClose(probs, alone[i]!);
});

test("a text that is too long is cut where the request says, between what the tokenizer puts around it", async () => {
  const model = await writeTinyModel(join(root, "cut"), { modelType: "bert", config: MODELS.bert });
  const file = join(model, "tokenizer.json");
  const tokenizer = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  const [first, last] = tokenizer["added_tokens"] as { id: number; content: string }[] as [Added, Added];
  const special = ({ id, content }: Added) =>
    [content, { id: content, ids: [id], tokens: [content] }] as const;
  tokenizer["post_processor"] = {
    type: "TemplateProcessing",
    single: [
      { SpecialToken: { id: first.content, type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: last.content, type_id: 0 } },
    ],
    pair: [],
    special_tokens: Object.fromEntries([special(first), special(last)]),
  };
  writeFileSync(file, JSON.stringify(tokenizer));
  const server = await open("server-cut", { model });
  // More than is encoded at once.
  const input = Array.from({ length: 9000 }, (_, i) => `ka${i} `).join("");
  const bytes = [...new TextEncoder().encode(input)];
  const some = bytes.slice(0, 100);
  const around = (ids: number[]): number[] => [first.id, ...ids, last.id];
  const post = async (body: object): Promise<unknown> =>
    (await server.post("/classify", { model: "tiny", ...body })).body;
  const probsOf = async (body: object): Promise<[number[], number]> => {
    const { data, usage } = (await post(body)) as Told;
    return [data[0]!.probs, usage.prompt_tokens];
  };
  for (const [sent, ids] of [
    [{ input, truncate_prompt_tokens: 9 }, around(bytes.slice(0, 7))],
    [{ input, truncate_prompt_tokens: 9, truncation_side: "left" }, around(bytes.slice(-7))],
    [{ input: [input], truncate_prompt_tokens: -1 }, around(bytes.slice(0, 62))],
    [{ input: "ka", truncate_prompt_tokens: 9 }, around([...new TextEncoder().encode("ka")])],
    [{ input: some, truncate_prompt_tokens: 9 }, some.slice(0, 9)],
    [{ input: some, truncate_prompt_tokens: 9, truncation_side: "left" }, some.slice(-9)],
  ] as const)
    assert.deepEqual(await probsOf(sent), await probsOf({ input: ids }), JSON.stringify(ids));
  for (const size of [0, 2, 65, 1.5, -2, 1e300]) {
    const { error } = (await post({ input, truncate_prompt_tokens: size })) as { error: { param: string } };
    assert.equal(error.param, "truncate_prompt_tokens", `${size} ${JSON.stringify(error)}`);
  }
});

test("an adapter tells classes by its own head on a model that has none, which alone tells nothing", async () => {
  const model = await writeTinyModel(join(root, "llama"));
  const data = writeTinyRows(join(root, "rows.jsonl"), "classes", 20);
  const [one, other] = [join(root, "one"), join(root, "other")];
  const words = ["train", "--model", model, "--objective", "classification", "--data", data, "--steps", "2"];
  await graft(...words, "--learning-rate", "0.01", "--output", one);
  await graft(...words, "--learning-rate", "0.01", "--seed", "5", "--output", other);
  const server = await open("server-llama", { model, headOf: one });
  await server.state.models.load("one", one);
  await server.state.models.load("other", other);
  for (const [name, path] of Object.entries({ one, other })) {
    const [predicted, expected] = await byCommand("ka lo", "--model", model, "--adapter", path);
    const { label, probs } = (await ask(server, "ka lo", name)).data[0]!;
    assert.equal(label, predicted);
    requireClose(probs, expected);
  }
  for (const [classes, expected] of [
    [{ headOf: one }, "f32"],
    [undefined, "direct"],
  ] as const) {
    const { base, checkpoint } = await openTextParts(model, { base: "q4_1", ...(classes && { classes }) });
    assert.equal(chooseCompute("auto", base).name, expected, "as the command computes");
    await checkpoint.close();
  }
  const refused = await server.post("/classify", { model: "tiny", input: "ka" });
  assert.equal(refused.status, 400);
  assert.match(JSON.stringify(refused.body), /no classification head of its own.*Name an adapter/);
  const third = join(root, "third");
  await graft(...words, "--classes", "good,bad", "--output", third);
  await assert.rejects(
    server.state.models.load("third", third),
    /other classes, .*good.*bad.*, expected .*bad.*good/,
  );
});

test("a model is asked for what it does: classes or texts", async () => {
  const model = await writeTinyModel(join(root, "asked"), { modelType: "bert", config: MODELS.bert });
  const [judge, writer] = [await open("judge", { model }), await serveTiny(join(root, "writer"))];
  after(() => writer.close());
  const generative: [string, object][] = [
    ["/v1/chat/completions", { messages: [{ role: "user", content: "ka" }] }],
    ["/v1/completions", { prompt: "ka" }],
    ["/v1/responses", { input: "ka" }],
    ["/v1/embeddings", { input: "ka" }],
  ];
  for (const [path, own] of generative) {
    const { status, body } = await judge.post(path, { model: "tiny", ...own });
    const { error } = body as { error: { param: string; message: string } };
    assert.deepEqual([status, error.param], [400, "model"], path);
    assert.match(error.message, /is a classification model and generates no text: send texts to \/classify/);
  }
  const cases: [TinyServer, object, number, string, RegExp][] = [
    [writer, { model: "poet", input: "ka" }, 400, "model", /generates text and predicts no classes/],
    [judge, { model: "nobody", input: "ka" }, 404, "model", /does not exist/],
    [judge, { model: "tiny", input: [] }, 400, "input", /expected/],
    [
      judge,
      { model: "tiny", input: ["ka", "ka ".repeat(9000)] },
      400,
      "input[1]",
      /\d+ tokens, expected at most 64/,
    ],
    [judge, { model: "tiny", input: [9999] }, 400, "input", /9999/],
  ];
  for (const [server, sent, status, param, message] of cases) {
    const refused = await server.post("/classify", sent);
    const { error } = refused.body as { error: { param: string; message: string } };
    assert.deepEqual([refused.status, error.param], [status, param], error.message);
    assert.match(error.message, message);
  }
  const lost = await judge.app.request("/v1/classify", { method: "POST", body: "{}" });
  assert.match(await lost.text(), /did you mean \/classify\?/);
});
