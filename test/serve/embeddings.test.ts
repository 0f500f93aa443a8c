/** @file Embeddings are the means of a plain pass over the text, with an adapter or without, whatever runs beside them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { openTextModel } from "../../src/engine/open-text-model.ts";
import { readAdapter } from "../../src/format/by-path.ts";
import { NO_ADAPTER } from "../../src/peft/adapter-view.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { factsOfText } from "../../src/engine/prompts/prompt.ts";
import { ForwardPass } from "../../src/run/forward-pass.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { listenTiny } from "./tiny-server.ts";

const root = temporaryFolder();
const { server, client } = await listenTiny(root);
const { session } = server.state.model.engine;
const EPSILON = 1e-5;

/** The mean of a pass without a cache, after RMSNorm, of length 1. */
async function plainly(text: string, adapter: Adapter | null): Promise<number[]> {
  const ids = server.state.model.encodePrompt(text);
  const pass = await ForwardPass.create(session, adapter ?? NO_ADAPTER);
  const input = hostTensor("int64", [1, ids.length], BigInt64Array.from(ids, BigInt));
  const weight = (await session.weights.readOutsideBlocks(["model.norm.weight"]))["model.norm.weight"];
  assert.ok(weight);
  const isPromptEnd = (_row: number, index: number): boolean => index === ids.length - 1;
  return await pass.run(input, { ...factsOfText(ids.length), isPromptEnd }, async ({ data, shape }) => {
    const width = shape[2]!;
    const mean = Array.from({ length: width }, () => 0);
    for (let t = 0; t < ids.length; t++) {
      const row = data.subarray(t * width, (t + 1) * width);
      const size = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / width + EPSILON);
      for (let i = 0; i < width; i++) mean[i]! += ((row[i]! / size) * Number(weight.data[i])) / ids.length;
    }
    const length = Math.hypot(...mean);
    return mean.map((value) => value / length);
  });
}

function requireClose(found: readonly number[] | undefined, expected: readonly number[]): void {
  assert.equal(found?.length, expected.length);
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(found[i]! - value) < 1e-5, `${found[i]} ${value}`);
}

const TEXTS = ["k", "ka lo mi", "te so ".repeat(60), "ka lo mi"];

test("embeddings are those of a plain pass, in base64 and as numbers, while texts are written", async () => {
  const writing = client.completions.create({ model: "tiny", prompt: "ka lo", max_tokens: 40 });
  const encoded = await client.embeddings.create({ model: "tiny", input: TEXTS });
  const numbers = await client.embeddings.create({ model: "tiny", input: TEXTS, encoding_format: "float" });
  for (const [i, text] of TEXTS.entries()) {
    const expected = await plainly(text, null);
    requireClose(encoded.data[i]?.embedding, expected);
    assert.deepEqual([...(numbers.data[i]?.embedding ?? [])].length, expected.length);
    requireClose(numbers.data[i]?.embedding, expected);
  }
  assert.equal(encoded.usage.prompt_tokens, TEXTS.join("").length);
  assert.equal((await writing).choices[0]?.finish_reason, "length");
  assert.equal(server.state.model.engine.stats.numPagesHeld, 0);
});

test("a text that is too long is embedded as far as the request says", async () => {
  const { maxTokens } = server.state.model;
  const input = "te so ".repeat(1000);
  const embed = async (body: object): Promise<readonly number[]> => {
    const sent = { model: "tiny", encoding_format: "float" as const, input, ...body };
    return (await client.embeddings.create(sent)).data[0]!.embedding;
  };
  await assert.rejects(embed({}), /expected at most/);
  requireClose(await embed({ truncate_prompt_tokens: 7 }), await plainly(input.slice(0, 7), null));
  requireClose(await embed({ truncate_prompt_tokens: -1 }), await plainly(input.slice(0, maxTokens), null));
});

test("an adapter is asked for by its name, ids go for texts", async () => {
  for (const name of ["poet", "clerk"]) {
    await client.post("/load_lora_adapter", { body: { lora_name: name, lora_path: name } });
    const { adapter } = await readAdapter(join(root, "adapters", name), session.base);
    const input = [[...new TextEncoder().encode("ka lo mi")]];
    const { data } = await client.embeddings.create({ model: name, input });
    requireClose(data[0]?.embedding, await plainly("ka lo mi", adapter));
  }
});

test("the library gives the numbers that the server gives: embeddings, and log-probabilities of what is written", async () => {
  const model = await openTextModel(join(root, "model"), { threads: 1, chatTemplate: "chatml" });
  await model.tasks.load("poet", join(root, "adapters", "poet"));
  await client.post("/load_lora_adapter", { body: { lora_name: "poet", lora_path: "poet" } }).catch(() => {});
  const messages = [{ role: "user" as const, content: "ka lo mi" }];
  const promptIds = model.encodeChat(messages);
  for (const task of [null, "poet"]) {
    await model.tasks.switch(task);
    const input = [promptIds];
    const { data } = await client.embeddings.create({ model: task ?? "tiny", input });
    const found = await model.embed(promptIds);
    assert.ok(found instanceof Float32Array);
    requireClose([...found], data[0]?.embedding ?? []);
    const { choices } = await client.chat.completions.create({
      model: task ?? "tiny",
      messages,
      max_tokens: 5,
      temperature: 0,
      logprobs: true,
      top_logprobs: 3,
    });
    const told = choices[0]?.logprobs?.content ?? [];
    const text = await model.write(promptIds, { maxNewTokens: 5, topLogProbs: 3 });
    const [row] = await model.writeAll([{ promptIds, maxNewTokens: 5, topLogProbs: 3 }]);
    for (const { ids, logProbs } of [text, row!]) {
      assert.deepEqual(
        logProbs?.map(({ id }) => id),
        ids,
      );
      requireClose(
        logProbs?.map(({ logProb }) => logProb),
        told.map(({ logprob }) => logprob),
      );
      for (const [i, { top }] of (logProbs ?? []).entries())
        requireClose(
          top.map(({ logProb }) => logProb),
          told[i]?.top_logprobs.map(({ logprob }) => logprob) ?? [],
        );
    }
    assert.equal(text.text, choices[0]?.message.content);
    const seen: unknown[] = [];
    const request = { promptIds, maxNewTokens: 5, topLogProbs: 3, stopIds: model.stopIds };
    for await (const { logProbs } of model.generator.generate(request)) seen.push(logProbs);
    assert.deepEqual(seen, text.logProbs);
    assert.equal((await model.write(promptIds, { maxNewTokens: 1 })).logProbs, undefined);
  }
  const stopped = AbortSignal.abort(new Error("enough"));
  await assert.rejects(model.embed(promptIds, stopped), { message: "enough" });
  await assert.rejects(model.embed([]), { code: "usage/flag" });
  await assert.rejects(model.embed(promptIds, {} as AbortSignal), {
    code: "usage/flag",
    message: /signal is/,
  });
  await model.close();
  await assert.rejects(model.embed(promptIds), { code: "usage/state", message: /^Cannot embed a text: / });
});

test("what cannot be embedded is refused", async () => {
  const cases: readonly (readonly [object, string])[] = [
    [{ input: "" }, "input"],
    [{ input: ["a", "b".repeat(5000)] }, "input[1]"],
    [{ input: "a", dimensions: 3 }, "dimensions"],
    [{ input: "a", encoding_format: "int8" }, "encoding_format"],
  ];
  for (const [changes, param] of cases) {
    const answer = (await server.post("/v1/embeddings", { model: "tiny", ...changes })) as {
      status: number;
      body: { error: { param: string } };
    };
    assert.equal(answer.status, 400);
    assert.equal(answer.body.error.param, param);
  }
});
