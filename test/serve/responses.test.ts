/** @file The Responses API with OpenAI's own client: the text of a chat in another form. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import OpenAI from "openai";
import { listen } from "../../src/server/listening/listen.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";

const server = await serveTiny(temporaryFolder());
const { url, stop } = await listen(server.app, { host: "127.0.0.1", port: 0 });
after(async () => {
  await stop(0);
  await server.close();
});
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const asked = { model: "tiny", input: "ka lo mi", max_output_tokens: 8, temperature: 0 };

test("an answer is the text of the same chat, with the same tokens", async () => {
  const answer = await client.responses.create(asked);
  const chat = await client.chat.completions.create({
    model: "tiny",
    messages: [{ role: "user", content: "ka lo mi" }],
    max_completion_tokens: 8,
    temperature: 0,
  });
  assert.notEqual(answer.output_text, "");
  assert.equal(answer.output_text, chat.choices[0]?.message.content);
  assert.deepEqual(
    [answer.status, answer.incomplete_details],
    ["incomplete", { reason: "max_output_tokens" }],
  );
  assert.equal(answer.usage?.input_tokens, chat.usage?.prompt_tokens);
  assert.equal(answer.usage?.output_tokens, chat.usage?.completion_tokens);
  assert.equal(answer.usage?.total_tokens, chat.usage?.total_tokens);
});
