/** @file Documents in the order of their scores beside a query: those that the command tells of pairs, cut as it cuts them, and what is refused. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { runMain } from "../process/run-main.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { type TinyServer, serveTiny } from "./tiny-server.ts";
import { jsonLines } from "../files/read-json.ts";

const root = temporaryFolder();
const QUERY = "ka lo";
const DOCUMENTS = ["mi", "ka lo mi nu", "so te", "lo ".repeat(60), ""];
const ONE = { id2label: { 0: "LABEL_0" } };

interface Told {
  readonly results: readonly { index: number; document?: { text: string }; relevance_score: number }[];
  readonly usage: { readonly total_tokens: number };
}

async function open(
  name: string,
  modelType: string,
  config: object,
): Promise<{ model: string; server: TinyServer }> {
  const model = await writeTinyModel(join(root, name), { modelType, config: { ...config } });
  mkdirSync(join(root, `${name}-server`, "adapters"), { recursive: true });
  const server = await serveTiny(join(root, `${name}-server`), { model });
  after(() => server.close());
  return { model, server };
}

async function ask(server: TinyServer, more: object, path = "/v1/rerank"): Promise<Told> {
  const { status, body } = await server.post(path, { model: "tiny", query: QUERY, ...more });
  assert.equal(status, 200, JSON.stringify(body));
  return body as Told;
}

/** What the command tells of the query with each document, cut to the model's positions. */
async function byCommand(model: string): Promise<number[]> {
  const data = join(root, "pairs.jsonl");
  const rows = DOCUMENTS.map((text_pair) => JSON.stringify({ text: QUERY, text_pair }));
  writeFileSync(data, rows.join("\n"));
  const words = ["classify", "--model", model, "--data", data, "--threads", "1", "--json"];
  const { status, stdout, stderr } = await runMain(words, { GRAFT_HOME: root });
  assert.equal(status, 0, stdout + stderr);
  const told = jsonLines<{ predicted?: number; scores?: Record<string, number> }>(stdout);
  return told.flatMap(({ predicted, scores }) => (scores ? Object.values(scores) : (predicted ?? [])));
}

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));
const itself = (value: number): number => value;
const IDENTITY = "torch.nn.modules.linear.Identity";

for (const [name, modelType, config, score] of [
  ["bert", "bert", ONE, sigmoid],
  ["roberta", "roberta", ONE, sigmoid],
  ["decoder", "llama", { ...ONE, architectures: ["LlamaForSequenceClassification"] }, sigmoid],
  ["any", "bert", { ...ONE, problem_type: "multi_label_classification" }, itself],
  ["raw", "bert", { ...ONE, sbert_ce_default_activation_function: IDENTITY }, itself],
  ["raw-newer", "bert", { ...ONE, sentence_transformers: { activation_fn: IDENTITY } }, itself],
] as const) {
  test(`documents are in the order of what the command tells of pairs (${name})`, async () => {
    const { model, server } = await open(name, modelType, config);
    const told = await byCommand(model);
    assert.equal(told.length, DOCUMENTS.length);
    const { results } = await ask(server, { documents: DOCUMENTS, truncate_prompt_tokens: -1 });
    const expected = told
      .map((value, index) => ({ index, score: score(value) }))
      .toSorted((a, b) => b.score - a.score);
    for (const [i, { index, document, relevance_score }] of results.entries()) {
      assert.deepEqual([index, document?.text], [expected[i]!.index, DOCUMENTS[index]]);
      assert.ok(Math.abs(relevance_score - expected[i]!.score) < 1e-5);
    }
    const documents = DOCUMENTS.map((text) => ({ text }));
    const some = { documents, truncate_prompt_tokens: -1, top_n: 2, return_documents: false };
    const best = await ask(server, some, "/rerank");
    assert.deepEqual(
      best.results,
      results.slice(0, 2).map(({ index, relevance_score }) => ({ index, relevance_score })),
    );
    assert.deepEqual(server.errors, []);
  });
}

test("no more of a document is read than is asked for, and all of it by 0", async () => {
  const { server } = await open("begun", "bert", ONE);
  const long = DOCUMENTS[3]!;
  const scores = async (documents: readonly string[], more: object): Promise<Map<number, number>> => {
    const { results, usage } = await ask(server, { documents, ...more });
    return new Map([
      [-1, usage.total_tokens],
      ...results.map(({ index, relevance_score }): [number, number] => [index, relevance_score]),
    ]);
  };
  const begun = await scores(["mi", "lo lo "], {});
  assert.deepEqual(await scores(["mi", long], { max_tokens_per_doc: 6 }), begun);
  assert.notEqual(begun.get(1), (await scores(["mi", "lo lo"], {})).get(1));
  assert.deepEqual(await scores(["mi", "lo lo "], { max_tokens_per_doc: 0 }), begun);
});

test("what cannot be put into order is refused", async () => {
  const { server } = await open("one", "bert", ONE);
  const { server: several } = await open("several", "bert", { id2label: { 0: "bad", 1: "good" } });
  const writer = await serveTiny(join(root, "writer"));
  after(() => writer.close());
  const documents = ["mi"];
  const cases: [TinyServer, object, string, RegExp][] = [
    [server, { documents: DOCUMENTS }, "documents[3]", /at least 18\d tokens, expected at most 64/],
    [server, { documents, truncate_prompt_tokens: 65 }, "truncate_prompt_tokens", /expected \d+ to 64/],
    [server, { documents: [] }, "documents", /expected/],
    [server, { documents: [7] }, "documents[0]", /expected/],
    [server, { documents, query: "" }, "query", /expected/],
    [server, { documents, top_n: -1 }, "top_n", /expected/],
    [server, { documents, max_tokens_per_doc: 1.5 }, "max_tokens_per_doc", /expected/],
    [server, { documents, model: "nobody" }, "model", /does not exist/],
    [several, { documents }, "model", /predicts 2 classes, expected one score/],
    [writer, { documents }, "model", /predicts no classes/],
  ];
  for (const [asked, sent, param, message] of cases) {
    const { status, body } = await asked.post("/rerank", { model: "tiny", query: QUERY, ...sent });
    const { error } = body as { error: { param: string; message: string } };
    assert.equal(error.param, param, error.message);
    assert.ok(status === 400 || status === 404);
    assert.match(error.message, message);
  }
});
