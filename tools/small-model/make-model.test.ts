import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execPath } from "node:process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Session } from "../../src/run/session.ts";
import { readDataset } from "../../src/data/by-path.ts";
import { openTextParts } from "../../src/engine/open-text-model.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import { documentRows, heldOutText, makeSmallModel, trainTokenizer } from "./make-model.ts";
import { smallModelText } from "./make-text.ts";
import { jsonLines } from "../../test/files/read-json.ts";

const COMMITTED = fileURLToPath(new URL("../../test/small-model", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "small-model-"));
after(() => rmSync(folder, { recursive: true }));

test("documentRows() makes chats messages and leaves other documents as they are", () => {
  const text =
    "A fox.\nQuestion: Who?\nAnswer: Pip.\n\n" +
    "<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\nHello.\nYes?<|im_end|>\n\n";
  assert.deepEqual(jsonLines(documentRows(text)), [
    { text: "A fox.\nQuestion: Who?\nAnswer: Pip." },
    {
      messages: [
        { role: "user", content: "Hi!" },
        { role: "assistant", content: "Hello.\nYes?" },
      ],
    },
  ]);
});

test("the committed tokenizer is the one that the recipe trains", () => {
  const { tokenizer } = trainTokenizer(smallModelText(1_600_000, 1));
  const committed = readFileSync(join(COMMITTED, "tokenizer.json"), "utf8");
  assert.deepEqual(JSON.parse(committed), JSON.parse(JSON.stringify(tokenizer)));
});

test("the committed model has the held-out loss that its README says, far below guessing by frequency", async () => {
  const [, loss, unigram] =
    /held-out loss: ([\d.]+) .*frequency alone: ([\d.]+)/.exec(
      readFileSync(join(COMMITTED, "README.md"), "utf8"),
    ) ?? [];
  const { base, checkpoint, tokenizer, template } = await openTextParts(COMMITTED);
  assert.deepEqual([...new Set([...checkpoint.tensors.values()].map(({ storage }) => storage))], ["bf16"]);
  const path = join(folder, "held-out.jsonl");
  writeFileSync(path, documentRows(heldOutText()));
  const { train: examples } = await readDataset(path, {
    tokenizer,
    template,
    trainOn: "all",
    maxLength: 512,
  });
  const session = new Session(createEngine(), base);
  const evaluator = await Evaluator.create(session, null);
  const evaluation = await evaluator.evaluate(examples);
  assert.ok(Math.abs(evaluation.loss - Number(loss)) < 1e-3, `${evaluation.loss}, README ${loss}`);
  assert.ok(evaluation.loss < 0.2 * Number(unigram), `${evaluation.loss}, ${unigram}`);
  await session.release();
  await checkpoint.close();
});

test("makeSmallModel() writes a folder that opens, with a README, and nothing of the run", async () => {
  const output = join(folder, "model");
  const result = await makeSmallModel({ output, steps: 2, seed: 7, trainBytes: 30_000, heldOutBytes: 6000 });
  assert.equal(result.steps, 2);
  assert.deepEqual(readdirSync(output).sort(), [
    "README.md",
    "chat_template.jinja",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  const { checkpoint } = await openTextParts(output);
  const stored = [...checkpoint.tensors.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  assert.equal(stored, 2 * result.trainable_parameters);
  assert.equal(checkpoint.config["torch_dtype"], "bfloat16");
  await checkpoint.close();
  assert.match(readFileSync(join(output, "README.md"), "utf8"), /--steps 2 --seed 7\n[^]*\| Who is Pip\? \|/);
});

test("the command says how it is called", () => {
  const tool = fileURLToPath(new URL("make-model.ts", import.meta.url));
  assert.throws(
    () => execFileSync(execPath, [tool, "out", "--steps", "many"], { stdio: "pipe" }),
    /expected OUT/,
  );
});
