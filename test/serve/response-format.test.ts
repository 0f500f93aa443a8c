/** @file Answers in a form that a request asks for: whole and streamed, each row with its own, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type OpenAI from "openai";
import { z } from "zod";
import { temporaryFolder } from "../tiny/model.ts";
import { listenTiny } from "./tiny-server.ts";

const { server, client } = await listenTiny(temporaryFolder());
const asked = {
  model: "tiny",
  messages: [{ role: "user" as const, content: "ka" }],
  max_completion_tokens: 60,
  seed: 3,
};

function formatOf(schema: Record<string, unknown>): OpenAI.ResponseFormatJSONSchema {
  return { type: "json_schema", json_schema: { name: "answer", schema, strict: true } };
}

const SCHEMAS: readonly Record<string, unknown>[] = [
  {
    type: "object",
    properties: { ok: { type: "boolean" }, kind: { enum: ["lamp", "mill"] } },
    required: ["ok", "kind"],
    additionalProperties: false,
  },
  { type: "array", items: { type: "integer", minimum: 0, maximum: 99 }, minItems: 2, maxItems: 3 },
  { type: "string", pattern: "^[a-f]{4}-[0-9]{2}$" },
  { type: "string", maxLength: 8 },
];

test("rows of one batch each hold their own schema, streamed or not", async () => {
  const whole = SCHEMAS.map((schema) =>
    client.chat.completions.create({ ...asked, response_format: formatOf(schema) }),
  );
  const streamed = SCHEMAS.map(async (schema) => {
    let [text, reason] = ["", ""];
    const stream = await client.chat.completions.create({
      ...asked,
      stream: true,
      response_format: formatOf(schema),
    });
    for await (const { choices } of stream) {
      text += choices[0]?.delta.content ?? "";
      reason = choices[0]?.finish_reason ?? reason;
    }
    return { text, reason };
  });
  const plain = client.chat.completions.create(asked);
  for (const [i, schema] of SCHEMAS.entries()) {
    const [choice] = (await whole[i])?.choices ?? [];
    const text = choice?.message.content ?? "";
    assert.equal(choice?.finish_reason, "stop");
    assert.ok(z.fromJSONSchema(schema).safeParse(JSON.parse(text)).success, text);
    assert.deepEqual(await streamed[i], { text, reason: "stop" });
  }
  assert.equal((await plain).choices[0]?.finish_reason, "length");
});

test("several texts of one request each follow it, and so do completions", async () => {
  const schema = SCHEMAS[1]!;
  const answer = await client.chat.completions.create({ ...asked, n: 3, response_format: formatOf(schema) });
  const texts = answer.choices.map(({ message }) => message.content ?? "");
  assert.ok(new Set(texts).size > 1);
  const completion = (await server.post("/v1/completions", {
    model: "tiny",
    prompt: "ka",
    max_tokens: 60,
    response_format: formatOf(schema),
  })) as { body: { choices: { text: string }[] } };
  for (const text of [...texts, completion.body.choices[0]?.text ?? ""]) {
    assert.ok(z.fromJSONSchema(schema).safeParse(JSON.parse(text)).success, text);
  }
});

test("an answer that has no room to end says so", async () => {
  const answer = await client.chat.completions.create({
    ...asked,
    max_completion_tokens: 3,
    response_format: { type: "json_object" },
  });
  assert.equal(answer.choices[0]?.finish_reason, "length");
  assert.match(answer.choices[0]?.message.content ?? "", /^\{/);
});

test("a keyword that cannot be held is refused with its path", async () => {
  const schema = { type: "object", properties: { a: { type: "array", uniqueItems: true } } };
  await assert.rejects(client.chat.completions.create({ ...asked, response_format: formatOf(schema) }), {
    status: 400,
    code: "invalid_json_schema",
    param: "response_format.json_schema.schema.properties.a.uniqueItems",
  });
  const large = formatOf({ type: "string", minLength: 1e9 });
  await assert.rejects(client.chat.completions.create({ ...asked, response_format: large }), {
    status: 400,
    code: "invalid_json_schema",
    param: "response_format.json_schema.schema",
  });
});

test("a number beyond those that JavaScript has is refused by its path, and not taken for null", async () => {
  const ask = (schema: string): ReturnType<typeof server.post> => {
    const format = `{"type":"json_schema","json_schema":{"name":"a","schema":${schema}}}`;
    const body = `{"model":"tiny","prompt":"ka","max_tokens":40,"response_format":${format}}`;
    return server.post("/v1/completions", body);
  };
  assert.equal((await ask('{"const":null}')).status, 200);
  const { status, body } = await ask('{"const":1e400}');
  assert.equal(status, 400);
  const { message, param } = (body as { error: { message: string; param: string } }).error;
  assert.match(message, /\/const is a number beyond 1\.797/);
  assert.equal(param, "response_format.json_schema.schema.const");
});
