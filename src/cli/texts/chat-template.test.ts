/** A chat template of the user's own, for a model that comes without one, through every command that reads messages. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { before, test } from "node:test";

import { createChatTemplate } from "../../data/chat/chat-template.ts";
import { NAMED_TEMPLATES } from "../../data/chat/named-templates.ts";
import { openTextModel } from "../../engine/open-text-model.ts";
import { writeModel } from "../../format/by-path.ts";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { temporaryFolder, tinyModelParts, writeTinyChats } from "../../../test/tiny/model.ts";
import { type Said, runMain } from "../../../test/process/run-main.ts";

const folder = temporaryFolder();
const model = `${folder}/model`;
const data = writeTinyChats(`${folder}/chats.jsonl`, 4);
const template = `${folder}/own.jinja`;
const MESSAGES = [
  { role: "system", content: "S" },
  { role: "user", content: "Q" },
  { role: "assistant", content: "A" },
] as const;

before(async () => {
  const { tokenizer, config } = byteTokenizerFiles();
  const { chat_template: _, ...bare } = config;
  const tokenizerFiles = { tokenizer, config: bare, chatTemplate: null };
  await writeModel(model, { ...tinyModelParts(), generationConfig: null, tokenizerFiles });
  writeFileSync(
    template,
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
  );
});

const run = (...words: string[]): Promise<Said> => runMain(words, { GRAFT_HOME: folder });

test("every named template renders a conversation that goes on where an answer begins", () => {
  for (const [name, source] of NAMED_TEMPLATES) {
    const config = { bos_token: "<s>", eos_token: "</s>" };
    const chat = createChatTemplate({ tokenizer: {}, config, chatTemplate: source });
    const asked = chat.render(MESSAGES.slice(0, 2), { addGenerationPrompt: true });
    const whole = chat.render(MESSAGES);
    assert.ok(whole.startsWith(`${asked}A`), name);
    assert.match(whole, /S[^]*Q[^]*A/);
    // Without special tokens too.
    assert.ok(
      createChatTemplate({ tokenizer: {}, config: {}, chatTemplate: source }).render(MESSAGES).includes("A"),
    );
  }
});

test("a model without a template is refused with the flag that mends it", async () => {
  const { status, stderr } = await run("data", "show", data, "--model", model);
  assert.equal(status, 2);
  assert.match(stderr, /no chat template/);
  assert.match(stderr, /hint: .*--chat-template: chatml, plain, alpaca or a Jinja file/);
});

test("--chat-template takes a name or a file, in data show, train, eval and generate", async () => {
  const shown = await run(
    "data",
    "show",
    data,
    "--model",
    model,
    "--chat-template",
    template,
    "--limit",
    "1",
  );
  assert.match(shown.stdout, /<user>.*<assistant>\[\+/s, shown.stderr);
  const how = ["--model", model, "--chat-template", "plain"];
  const output = `${folder}/adapter`;
  const trained = await run("train", ...how, "--data", data, "--output", output, "--steps", "1");
  assert.equal(trained.status, 0, trained.stderr);
  const evaluated = await run("eval", ...how, "--adapter", output, "--data", data);
  assert.deepEqual([evaluated.status, evaluated.stderr], [0, ""]);
  const other = await run(
    "eval",
    "--model",
    model,
    "--adapter",
    output,
    "--data",
    data,
    "--chat-template",
    "chatml",
  );
  assert.match(other.stderr, /trained with another chat template .*: give it as --chat-template plain/);
  const written = await run("generate", ...how, "--prompt", "ka", "--chat", "--max-new-tokens", "2");
  assert.equal(written.status, 0, written.stderr);
  const library = await openTextModel(model, { chatTemplate: template });
  assert.equal(library.parts.template.render(MESSAGES), "<system>S<user>Q<assistant>A");
  await library.close();
});

test("a model that is trained whole is saved with the template that it was trained with", async () => {
  const output = `${folder}/whole`;
  const words = ["--model", model, "--data", data, "--output", output, "--steps", "1", "--method", "full"];
  const { status, stderr } = await run("train", ...words, "--chat-template", template);
  assert.equal(status, 0, stderr);
  assert.equal(readFileSync(`${output}/chat_template.jinja`, "utf8"), readFileSync(template, "utf8"));
});

test("a template that is neither is refused with the names there are", async () => {
  const { status, stderr } = await run("eval", "--model", model, "--data", data, "--chat-template", "chatlm");
  assert.equal(status, 2);
  assert.match(
    stderr,
    /Cannot read chat template "chatlm": no such file, expected chatml, plain, alpaca or a Jinja file/,
  );
  assert.match(stderr, /hint: The nearest name is chatml\./);
});
