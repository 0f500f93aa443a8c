import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { COMMANDS } from "../../src/cli/commands.ts";
import { COMMAND_CODES } from "../../src/cli/report.ts";
import { CODES } from "../../src/errors.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { jsonLines } from "../../test/files/read-json.ts";
import { runMain } from "../../test/process/run-main.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../test/tiny/model.ts";
import { writeTinyRows } from "../../test/tiny/rows.ts";
import { JSON_LINES } from "./json-lines.ts";
import { generatedPages } from "./pages.ts";
import { table, trainedBy } from "./tables.ts";
import { fillParts, wantedFiles } from "./gen-docs.ts";

const ROOT = new URL("../../", import.meta.url);

test("the generated docs in the repository are those of the program", () => {
  for (const [path, text] of wantedFiles(ROOT)) {
    const found = readFileSync(new URL(path, ROOT), "utf8");
    assert.ok(found === text, `${path} is out of date: run npm run docs`);
  }
});

test("every command, error and method stands in its page", () => {
  const pages = generatedPages();
  for (const { name } of COMMANDS)
    assert.ok(pages.get("docs/commands.md")?.includes(`## graft ${name}\n`), name);
  for (const code of [...Object.keys(CODES), ...Object.keys(COMMAND_CODES)])
    assert.ok(pages.get("docs/errors.md")?.includes(`\`${code}\``), code);
  for (const { name } of METHODS) assert.ok(pages.get("docs/methods.md")?.includes(`## ${name}\n`), name);
});

test("every line of --json stands in the page of commands, with keys that the program has", () => {
  const program = readdirSync(new URL("src", ROOT), { recursive: true, encoding: "utf8" })
    .filter(
      (path) => /^(cli|train|jobs|quant)\b/.test(path) && path.endsWith(".ts") && !path.endsWith(".test.ts"),
    )
    .map((path) => readFileSync(new URL(`src/${path}`, ROOT), "utf8"))
    .join("\n");
  const told = [...program.matchAll(/(?:^|[{ ])event: "([a-z]+)"/gm)].map(([, event]) => event ?? "");
  assert.ok(new Set(told).size > 15);
  const listed = JSON_LINES.map(({ event }) => event);
  assert.deepEqual([...new Set(told)].sort(), [...new Set(listed)].sort());
  const keys = JSON_LINES.flatMap((line) => line.keys.match(/\b[a-z]+(?:_[a-z]+)+\b/g) ?? []);
  assert.ok(keys.length > 30);
  for (const key of keys) assert.match(program, new RegExp(`\\b${key}\\b[:,]`), key);
});

test("eval and classify tell each kind of model the keys that stand there", async () => {
  const folder = temporaryFolder();
  const keysOf = (event: unknown, command: string): string[] =>
    JSON_LINES.find((line) => line.event === event && line.by === command)?.keys.split(", ") ?? [];
  const seen = new Set<string>();
  for (const [kind, config] of Object.entries({
    text: null,
    classes: { id2label: { 0: "bad", 1: "good" } },
    labels: { id2label: { 0: "bad", 1: "good" }, problem_type: "multi_label_classification" },
    numbers: { id2label: { 0: "LABEL_0" }, problem_type: "regression" },
  } as const)) {
    const own = config === null ? {} : { modelType: "bert", config };
    const model = await writeTinyModel(join(folder, kind), own);
    const data = join(folder, `${kind}.jsonl`);
    if (kind === "text") writeTinyChats(data, 4);
    else writeTinyRows(data, kind, 4);
    for (const command of kind === "text" ? ["eval"] : ["eval", "classify"]) {
      const words = [command, "--model", model, "--data", data, "--threads", "1", "--json"];
      const { stdout } = await runMain(words, { GRAFT_HOME: folder });
      for (const { event, ...told } of jsonLines<Record<string, unknown>>(stdout)) {
        const listed = keysOf(event, command);
        const needed = listed.filter((key) => !key.endsWith("?"));
        assert.deepEqual(
          needed.filter((key) => !(key in told)),
          [],
          `${command} of ${kind}`,
        );
        const others = Object.keys(told).filter((key) => !listed.some((one) => one.replace("?", "") === key));
        assert.deepEqual(others, [], `${command} of ${kind}`);
        for (const key of Object.keys(told)) seen.add(`${command} ${key}`);
      }
    }
  }
  const all = keysOf("done", "eval").map((key) => `eval ${key.replace("?", "")}`);
  assert.deepEqual(
    all.filter((key) => !seen.has(key)),
    ["eval images"],
  );
});

test("trainedBy() names tensors with words for sizes, or the whole model", () => {
  const find = (name: string) => METHODS.find((method) => method.name === name) ?? assert.fail(name);
  assert.equal(trainedBy(find("lora")), "`lora_A.weight` [8, in], `lora_B.weight` [out, 8]");
  assert.equal(trainedBy(find("full")), "every tensor of the model");
});

test("table() escapes bars", () => {
  assert.equal(table(["a", "b"], [["x|y", ""]]), "| a | b |\n| --- | --- |\n| x\\|y |  |");
});

test("fillParts() replaces what stands between markers and nothing else", () => {
  const text = "1\n<!-- begin a -->\nold\n<!-- end a -->\n2";
  const filled = fillParts(text, new Map([["a", "new"]]));
  assert.equal(filled, "1\n<!-- begin a -->\nnew\n<!-- end a -->\n2");
  assert.equal(fillParts(filled, new Map([["a", "new"]])), filled);
});

test("fillParts() refuses parts without markers and markers without parts", () => {
  assert.throws(() => fillParts("", new Map([["a", "x"]])), /no markers/);
  assert.throws(() => fillParts("<!-- begin b --><!-- end b -->", new Map()), /nothing generates it/);
});
