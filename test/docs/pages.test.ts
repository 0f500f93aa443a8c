/**
 * Every `sh` and `ts` block of README.md and docs/ is run as it stands, those of a page in one folder and in order;
 * those of README.md by processes of their own, as a reader would, those of docs/ by one that stays. A cache in which a tiny model
 * lies under the default model's name stands in for the real one. Types of blocks are checked in test/package/installed.test.ts.
 */
import assert from "node:assert/strict";
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { entryFolder, modelsFolderOf } from "../../src/hub/models-folder.ts";
import { DEFAULT_MODEL } from "../../src/hub/resolve.ts";
import { anchorsOf, pageLinks } from "./anchors.ts";
import { PAGES, codeBlocks } from "./code-blocks.ts";
import { callScript } from "./page-process.ts";
import { keepRates } from "../files/kept-rates.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Pages whose links are checked, and whose blocks are not run. */
const MORE_PAGES = ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "bench/README.md"];
const LANGUAGES = ["sh", "ts", "text", "python", "json"];
/** Nothing takes as long, not even on a machine that stands still for a while. */
const RUN_LIMIT_MS = 600_000;

const folder = temporaryFolder();
const env = {
  ...process.env,
  GRAFT_HOME: join(folder, "home"),
  PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
  CI: "1",
};
// Of one layer: some sixty blocks train it. Its heads are as wide as ONNX Runtime's cache asks for.
await writeTinyModel(entryFolder(modelsFolderOf(env), DEFAULT_MODEL, null), {
  config: { num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1 },
});

await keepRates(env);

// npx would look for the command in the folder's own package; here it is this clone's.
const graft = `exec ${JSON.stringify(process.execPath)} ${JSON.stringify(join(ROOT, "bin/graft.js"))} "$@"`;
const alone = makeNpx("alone", `#!/bin/sh\nshift\n${graft}\n`);
const calls = join(folder, "calls");
const shared = makeNpx("shared", callScript(calls));

/** Writes a script named npx into a folder of its own, which is returned. */
function makeNpx(name: string, script: string): string {
  const bin = join(folder, name);
  mkdirSync(bin);
  writeFileSync(join(bin, "npx"), script);
  chmodSync(join(bin, "npx"), 0o755);
  return bin;
}

let stays: ChildProcess | null = null;

/** Starts the process that stays; one that hangs is ended first. */
function startSharedProcess(): void {
  stays?.kill("SIGKILL");
  rmSync(calls, { recursive: true, force: true });
  mkdirSync(calls);
  for (const pipe of ["request", "answer"]) assert.equal(spawnSync("mkfifo", [join(calls, pipe)]).status, 0);
  const script = fileURLToPath(new URL("page-process.ts", import.meta.url));
  stays = fork(script, [calls], { env, stdio: ["ignore", "ignore", "inherit", "ipc"] });
}

before(startSharedProcess);
after(async () => {
  stays?.kill("SIGKILL");
  if (stays?.exitCode === null && stays.signalCode === null) await once(stays, "exit");
});

/** Rows of the quickstart's data that blocks are given: three of them train on all rows three times. */
const NUM_ROWS = 32;

/** Makes the folder of the quickstart's files, of data only the first rows. */
function makeExamples(work: string): void {
  const [from, to] = ["examples/quickstart", join(work, "examples/quickstart")];
  mkdirSync(to, { recursive: true });
  for (const name of ["README.md", "train.jsonl", "held-out.jsonl"]) {
    const lines = readFileSync(join(ROOT, from, name), "utf8")
      .trimEnd()
      .split("\n");
    const kept = name.endsWith(".jsonl") ? lines.slice(0, NUM_ROWS) : lines;
    writeFileSync(join(to, name), `${kept.join("\n")}\n`);
  }
}

/** Makes a folder in which a page's blocks run: the quickstart's files, and packages that can be imported, "graft" and zod. */
function makeWorkFolder(page: string): string {
  const work = join(folder, page.replaceAll("/", "-"));
  const library = join(work, "node_modules", "graft");
  mkdirSync(library, { recursive: true });
  makeExamples(work);
  for (const name of ["zod", "onnxruntime-common"])
    symlinkSync(join(ROOT, "node_modules", name), join(work, "node_modules", name));
  writeFileSync(join(work, "package.json"), '{"type":"module"}');
  const exported = { ".": "./index.js", "./core": "./core.js" };
  writeFileSync(join(library, "package.json"), JSON.stringify({ type: "module", exports: exported }));
  for (const name of ["index", "core"]) {
    const source = new URL(`../../src/${name}.ts`, import.meta.url).href;
    writeFileSync(join(library, `${name}.js`), `export * from ${JSON.stringify(source)};\n`);
  }
  return work;
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  bin = alone,
): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    env: { ...env, PATH: `${bin}:${env.PATH}` },
    encoding: "utf8",
    timeout: RUN_LIMIT_MS,
  });
  return { status, text: `${stdout}${stderr}` };
}

for (const page of PAGES) {
  const blocks = codeBlocks(readFileSync(join(ROOT, page), "utf8"));
  const runnable = blocks.filter(
    ({ language, notRun }) => notRun === null && (language === "sh" || language === "ts"),
  );
  for (const { language, line } of blocks) {
    assert.ok(LANGUAGES.includes(language), `${page}:${line} is a block of "${language}"`);
  }
  if (runnable.length === 0) continue;
  test(`the ${runnable.length} blocks of ${page} run`, () => {
    const work = makeWorkFolder(page);
    for (const { language, code, line } of runnable) {
      const file = join(work, `line-${line}.${language}`);
      writeFileSync(file, code);
      const bin = page === "README.md" ? alone : shared;
      const module = bin === alone ? [process.execPath, file] : [join(shared, "npx"), "module", file];
      const [command = "", ...args] = language === "sh" ? ["sh", "-eu", file] : module;
      const { status, text } = run(command, args, work, bin);
      if (status === null) startSharedProcess();
      assert.equal(status, 0, `${page}:${line} ended with status ${status}\n${text}`);
    }
  });
}

test("npm scripts, files and headings that the pages name exist", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  for (const page of [...PAGES, ...MORE_PAGES]) {
    const text = readFileSync(join(ROOT, page), "utf8");
    for (const [, name = ""] of text.matchAll(/npm run ([a-z:-]+)/g)) {
      assert.ok(name in scripts, `${page} names the script "${name}"`);
    }
    for (const { target, anchor } of pageLinks(text)) {
      const file = target === "" ? join(ROOT, page) : join(ROOT, dirname(page), target);
      assert.ok(existsSync(file), `${page} links to "${target}"`);
      if (anchor === null) continue;
      assert.ok(anchorsOf(readFileSync(file, "utf8")).has(anchor), `${page} links to "${target}#${anchor}"`);
    }
  }
});

test("headings that comments in src/ name exist", () => {
  for (const name of readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    for (const [link, page = "", anchor = ""] of readFileSync(join(ROOT, "src", name), "utf8").matchAll(
      /(docs\/[\w-]+\.md)#([\w-]+)/g,
    )) {
      assert.ok(anchorsOf(readFileSync(join(ROOT, page), "utf8")).has(anchor), `src/${name} names ${link}`);
    }
  }
});

test("anchorsOf() takes headings as GitHub does, and pageLinks() leaves the web out", () => {
  const page =
    "# A `b-c`: [d](e.md), 3 × 4!\n## Same\n## Same\n```sh\n# no\n```\n[x](y.md#z) [v](#same) [w](https://a#b)\n";
  assert.deepEqual([...anchorsOf(page)], ["a-b-c-d-3--4", "same", "same-1"]);
  assert.deepEqual(pageLinks(page), [
    { target: "e.md", anchor: null },
    { target: "y.md", anchor: "z" },
    { target: "", anchor: "same" },
  ]);
});

test("README.md holds the two commands of the project, each on a line of its own", () => {
  const lines = readFileSync(join(ROOT, "README.md"), "utf8").split("\n");
  assert.equal(lines.filter((line) => line === "npm ci && npm run quickstart").length, 1);
  assert.equal(lines.filter((line) => line === "npm ci && npm test").length, 1);
});

test("codeBlocks() finds languages, reasons and lines, and refuses an open fence", () => {
  const page = "a\n<!-- not run: no need -->\n```sh\nx\ny\n```\n\n```ts\n```\n";
  assert.deepEqual(codeBlocks(page), [
    { language: "sh", code: "x\ny\n", line: 3, notRun: "no need" },
    { language: "ts", code: "\n", line: 8, notRun: null },
  ]);
  assert.throws(() => codeBlocks("```sh\nx"), /line 1 is not closed/);
});

test("ARCHITECTURE.md names every folder of src/ and every dependency", () => {
  const architecture = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
  const picture = codeBlocks(architecture)[0]?.code ?? "";
  for (const entry of readdirSync(join(ROOT, "src"), { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    assert.match(picture, new RegExp(`^ *${entry.name} `, "m"));
  }
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  for (const name of Object.keys(dependencies)) assert.ok(architecture.includes(`| \`${name}\` |`), name);
});
