/** @file A model with fewer positions than examples usually have tokens: every command takes what it has, unless more is asked for. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { keepRates } from "../../test/files/kept-rates.ts";
import { runMain } from "../../test/process/run-main.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../test/tiny/model.ts";
import { jsonLines } from "../../test/files/read-json.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(join(folder, "model"), { config: { max_position_embeddings: 64 } });
const data = writeTinyChats(join(folder, "chats.jsonl"), 6);
await keepRates({ GRAFT_HOME: folder }, 1);
const TRAINING = ["--model", model, "--data", data, "--steps", "1", "--threads", "1"];

async function run(words: readonly string[]): Promise<{ events: Record<string, unknown>[]; stderr: string }> {
  const { status, stdout, stderr } = await runMain([...words, "--json"], { GRAFT_HOME: folder });
  assert.equal(status, 0, stderr);
  return { events: jsonLines(stdout), stderr };
}

const NOTE = /^Examples have at most 64 tokens \(--max-length\): the model has no more positions$/m;

test("a training has as many tokens as the model has positions, and says so", async () => {
  for (const more of [[], ["--memory", "auto"]]) {
    const output = join(folder, `run-${more.length}`);
    const { events, stderr } = await run(["train", ...TRAINING, ...more, "--output", output]);
    assert.equal(events.find(({ event }) => event === "start")?.["max_length"], 64);
    assert.match(stderr, NOTE);
  }
});

test("its plan has as many, and says so", async () => {
  const { events, stderr } = await run(["plan", ...TRAINING]);
  assert.deepEqual(
    events.map(({ event }) => event),
    ["note", "plan"],
  );
  assert.match(stderr, NOTE);
});

test("so have evaluations and what is shown of data", async () => {
  const { events: evaluated } = await run(["eval", "--model", model, "--data", data]);
  assert.equal(evaluated.at(-1)?.["event"], "done");
  const { events: shown } = await run(["data", "show", data, "--model", model, "--limit", "0"]);
  assert.equal(shown.at(-1)?.["max_length"], 64);
});

test("more that is asked for is refused", async () => {
  for (const words of [
    ["train", ...TRAINING, "--output", join(folder, "refused")],
    ["plan", ...TRAINING],
    ["eval", "--model", model, "--data", data],
  ]) {
    const { status, stderr } = await runMain([...words, "--max-length", "65"], { GRAFT_HOME: folder });
    assert.equal(status, 2, stderr);
    assert.match(stderr, /65 tokens: the model has 64 positions/);
  }
});
