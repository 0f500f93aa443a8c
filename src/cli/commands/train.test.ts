/** Tests of what `graft train` says: at the start, where it goes on, at the end, to people and as events. */
import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../../test/tiny/model.ts";
import type { DoneEvent, StartEvent } from "../../train/events.ts";
import { shellWords } from "../../messages/shell-words.ts";
import { nextCommand } from "../../train/report/next-command.ts";
import { evaluationLine } from "../training/run-report.ts";
import { runMain } from "../../../test/process/run-main.ts";
import { jsonLines } from "../../../test/files/read-json.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(join(folder, "model"));
const data = writeTinyChats(join(folder, "chats.jsonl"), 6);
const long = {
  messages: [
    { role: "user", content: "a" },
    { role: "assistant", content: "b".repeat(100) },
  ],
};
appendFileSync(data, `${JSON.stringify(long)}\n`);
const SETTINGS = [
  "--model",
  model,
  "--data",
  data,
  "--eval-data",
  data,
  "--max-length",
  "64",
  "--threads",
  "1",
];

async function run(...words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runMain(["train", ...SETTINGS, ...words], { GRAFT_HOME: folder });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** The command that chats with what a run has written. */
function chatOf(output: string): string {
  return shellWords(["npx", "graft", "chat", "--model", model, "--adapter", output]);
}

test("without a terminal a run says what it is about to do, and what has come of it", async () => {
  const output = join(folder, "told");
  const lines = (await run("--output", output, "--steps", "2", "--schedule", "constant"))
    .trimEnd()
    .split("\n");
  assert.match(lines[0] ?? "", /^Model {5}.*\/model, \d\d,\d{3} parameters$/);
  assert.match(lines[1] ?? "", /^Method {4}lora, [\d,]+ trainable parameters \(\d+(\.\d+)? %\)$/);
  assert.match(lines[2] ?? "", /^Data {6}7 examples, \d+ tokens \(\d+ trained\); 1 truncated at 64 tokens$/);
  assert.equal(lines[3], "Held out  7 examples");
  assert.equal(lines[4], "Steps     2, 2 per epoch");
  assert.match(lines[5] ?? "", /^held-out loss before training: /);
  assert.match(lines[7] ?? "", /^Done {6}2 steps in \d+(\.\d)? s$/);
  assert.match(lines[8] ?? "", /^Loss {6}\d\.\d{4} in the first step, \d\.\d{4} in the last$/);
  assert.match(lines[9] ?? "", /^Held out {2}loss \d\.\d{4} -> \d\.\d{4}$/);
  assert.equal(lines[10], `Result    adapter in ${output}; report in ${output}/report.html`);
  assert.equal(lines[11], `Next      ${chatOf(output)}`);
  assert.equal(lines.length, 12);

  const resumed = await run("--output", output, "--steps", "3", "--schedule", "constant", "--resume");
  assert.match(
    resumed,
    /^Resume {4}.*checkpoint-2, step 2 of 3\n {10}The run now has 3 steps instead of 2: .* exactly/m,
  );
});

test("--json tells the same as events", async () => {
  const output = join(folder, "events");
  const read = async (...words: readonly string[]): Promise<Record<string, unknown>[]> =>
    jsonLines(await run("--output", output, "--json", "--schedule", "constant", ...words));
  const events = await read("--steps", "2");
  const [start, done] = [events[0], events.at(-1)] as unknown as [StartEvent, DoneEvent];
  assert.deepEqual(
    [start.event, start.method, start.examples, start.truncated_examples, start.total_steps],
    ["start", "lora", 7, 1, 2],
  );
  assert.equal(start.trainable_share, start.trainable_parameters / start.parameters);
  const ofSteps = events.filter(({ event }) => event === "step").map(({ loss }) => loss);
  const ofEvals = events.filter(({ event }) => event === "eval").map(({ loss }) => loss);
  assert.deepEqual(
    [done.first_loss, done.last_loss, done.held_out_loss_before, done.held_out_loss],
    [ofSteps[0], ofSteps[1], ofEvals[0], ofEvals[1]],
  );
  assert.deepEqual([done.result, done.result_step, done.output], ["adapter", 2, output]);
  assert.equal(events.at(-1)?.["next_command"], chatOf(output));
  const again = await read("--steps", "3", "--resume");
  const { checkpoint, step } = again[1] ?? {};
  assert.deepEqual([checkpoint, step], [join(output, "checkpoint-2"), 2]);
});

test("an evaluation tells each number that can choose the best checkpoint", () => {
  const event = { event: "eval", step: 6, loss: 0.5, tokens: 9 } as const;
  assert.equal(evaluationLine(event), "held-out loss after step 6: 0.5000");
  const text = { ...event, perplexity: 1.649, token_accuracy: 0.85185 };
  assert.equal(
    evaluationLine(text),
    "held-out loss after step 6: 0.5000 (perplexity 1.65, token-accuracy 85.19 %)",
  );
  const classes = { ...event, step: 0, accuracy: 0.75, macro_f1: 0.5 };
  assert.equal(
    evaluationLine(classes),
    "held-out loss before training: 0.5000 (accuracy 75.00 %, macro-f1 50.00 %)",
  );
});

test("the next command suits what was trained, and can be pasted into a shell", () => {
  const start = { model: "owner/name", task: "causal-lm", chat_template: true } as StartEvent;
  const done = { output: "my runs/it's", result: "adapter" } as DoneEvent;
  const settings = { model: "", output: "", data: ["a.jsonl", "b.jsonl"] };
  assert.equal(
    nextCommand(start, done, settings, () => false),
    `npx graft chat --model owner/name --adapter 'my runs/it'\\''s'`,
  );
  assert.equal(
    nextCommand(
      { ...start, chat_template: false },
      { ...done, result: "model", output: "m" },
      settings,
      () => false,
    ),
    "npx graft generate --model m --prompt 'Once upon a time'",
  );
  assert.equal(
    nextCommand({ ...start, task: "image-classification" }, { ...done, output: "m" }, settings, () => false),
    "npx graft eval --model owner/name --adapter m --data a.jsonl",
  );
});

test("the next command gives what the run was given beside the model", () => {
  const start = { model: "owner/name", task: "causal-lm", chat_template: true } as StartEvent;
  const done = { output: "a", result: "adapter" } as DoneEvent;
  const given = { model: "", output: "", data: "rows.tsv=2", chatTemplate: "chatml", base: "nf4" } as const;
  assert.equal(
    nextCommand(start, done, given, () => false),
    "npx graft chat --model owner/name --base nf4 --adapter a --chat-template chatml",
  );
  assert.equal(
    nextCommand(start, { ...done, result: "model" }, given, () => false),
    "npx graft chat --model a",
  );
  const classes = { ...start, task: "sequence-classification" } as const;
  for (const [columns, words] of [
    ["text=2,label=1", "text=2,label=1"],
    [{ text: "a, b", label: "c" }, `'{"text":"a, b","label":"c"}'`],
  ] as const) {
    const command = nextCommand(classes, done, { data: "rows.tsv=2", columns }, () => false);
    assert.equal(command, `npx graft eval --model owner/name --adapter a --data rows.tsv --columns ${words}`);
  }
});
