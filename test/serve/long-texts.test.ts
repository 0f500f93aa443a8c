/** @file Texts that take long to encode do not keep the one thread from others. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";

const server = await serveTiny(temporaryFolder(), { limits: { maxBodyBytes: 4e6 } });
after(() => server.close());

const SHORT = { messages: [{ role: "user", content: "ka" }] };

async function post(path: string, asked: object) {
  const { status, body } = await server.post(path, asked);
  return { status, error: (body as { error: { code: string; param: string } }).error };
}

test("texts for their tokens alone, and ids for their text, have a greatest length", async () => {
  const text = "a".repeat((1 << 18) + 1);
  for (const [asked, param] of [
    [{ prompt: text }, "prompt"],
    [{ messages: [{ role: "user", content: text }] }, "messages"],
    [{ ...SHORT, tools: [{ type: "function", function: { name: "f", description: text } }] }, "messages"],
    [{ ...SHORT, chat_template_kwargs: { text } }, "messages"],
    [{ tokens: Array.from(text, () => 7) }, "tokens"],
  ] as const) {
    const { status, error } = await post(param === "tokens" ? "/detokenize" : "/tokenize", asked);
    assert.deepEqual([status, error.code, error.param], [400, "text_too_long", param]);
  }
});

for (const [path, list] of [
  ["/v1/embeddings", "input"],
  ["/v1/completions", "prompt"],
] as const) {
  test(`others have their turn between two texts of a list for ${path}`, async () => {
    const texts = Array.from({ length: 1900 }, (_, i) => `${i} `.repeat(90));
    let numTurns = 0;
    const turns = setInterval(() => numTurns++, 1);
    const { status, error } = await post(path, { model: "tiny", [list]: [...texts, "ka ".repeat(2000)] });
    clearInterval(turns);
    assert.deepEqual([status, error.param], [400, `${list}[1900]`]);
    assert.ok(numTurns > 3, `${numTurns}`);
  });
}
