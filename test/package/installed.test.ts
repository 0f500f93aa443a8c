/**
 * The package as its users get it: packed, unpacked into an empty folder with the dependencies that it declares, and run as
 * compiled JavaScript. Those are links to this clone's, which take a third of the processor time; npm installs them in
 * `npm run test:matrix`, where it reaches a registry.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";

import * as core from "../../src/core.ts";
import * as library from "../../src/index.ts";
import { pageLinks } from "../docs/anchors.ts";
import { PAGES, codeBlocks } from "../docs/code-blocks.ts";
import { jsonLines, readJson } from "../files/read-json.ts";
import { TAKES_ALL } from "../matrix/sampled.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const NO_REGISTRY = /ENOTFOUND|ECONNREFUSED|ECONNRESET|EAI_AGAIN|ETIMEDOUT|ENOTCACHED|FETCH_ERROR|E40[134]/;

// Settings of the npm that runs these tests are not those of a user.
const env = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(npm_(?!config_(registry|cache|userconfig)$)|INIT_CWD)/.test(name),
  ),
);
env["PATH"] = [dirname(process.execPath), process.env["PATH"]].join(delimiter);
env["ONNXRUNTIME_NODE_INSTALL"] = "skip";

const folder = temporaryFolder();
const project = join(folder, "project");
const installed = join(project, "node_modules", "graft");
let packed: readonly string[] = [];

function run(
  command: string,
  args: readonly string[],
  cwd: string,
): { status: number | null; stdout: string; text: string } {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    env,
    encoding: "utf8",
    timeout: 300_000,
  });
  return { status, stdout, text: `${stdout}${stderr}` };
}

/** Unpacks the package beside links to the clone's copies of what it declares: whatever else it imports is not found. */
function linkDependencies(tarball: string): void {
  mkdirSync(installed, { recursive: true });
  assert.equal(run("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed], project).status, 0);
  mkdirSync(join(project, "node_modules", ".bin"), { recursive: true });
  symlinkSync("../graft/bin/graft.js", join(project, "node_modules", ".bin", "graft"));
  const { dependencies } = readJson(join(installed, "package.json")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  for (const name of Object.keys(dependencies)) {
    const link = join(project, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), link);
  }
}

/** Has npm install the package; false: it reaches no registry. */
function installByNpm(tarball: string): boolean {
  const words = ["install", "--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=0"];
  const { status, text } = run("npm", [...words, "--fetch-timeout=20000", tarball], project);
  if (status !== 0 && NO_REGISTRY.test(text)) return false;
  assert.equal(status, 0, text);
  return true;
}

before(async () => {
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{"private":true,"type":"module"}');
  // Its cache in a folder of its own: nothing is fetched, and who runs tests may have no home to write to.
  const words = ["--json", "--pack-destination", folder, "--cache", join(folder, "npm")];
  const pack = run("npm", ["pack", ...words], ROOT);
  assert.equal(pack.status, 0, pack.text);
  const [tarballName] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  const tarball = join(folder, tarballName ?? "");
  packed = run("tar", ["-tzf", tarball], ROOT)
    .stdout.trim()
    .split("\n")
    .map((path) => path.replace(/^package\//, ""));
  if (!TAKES_ALL || !installByNpm(tarball)) linkDependencies(tarball);
  await writeTinyModel(join(project, "tiny"));
  writeTinyChats(join(project, "chats.jsonl"), 8);
});

test("the package holds compiled files, types and documents, and neither tests nor sources", () => {
  for (const file of [
    "bin/graft.js",
    "bin/own-imports.js",
    "dist/index.js",
    "dist/index.d.ts",
    "dist/cli/main.js",
    "LICENSE",
    "README.md",
  ]) {
    assert.ok(packed.includes(file), `${file} is missing`);
  }
  const own = [
    /^bin\/(graft|own-imports)\.js$/,
    /^dist\/[\w/-]+(\.d\.ts|\.js)$/,
    /^docs\/[\w-]+\.(md|svg)$/,
    /^(examples\/quickstart\/[\w-]+\.jsonl|bench\/results\/[\w-]+\.json|experiments\/results\/[\w/.-]+\.svg|deploy\/[\w.@-]+)$/,
    /^(LICENSE|[A-Z]+\.md|package\.json)$/,
  ];
  const foreign = packed.filter((path) => !own.some((form) => form.test(path)));
  assert.deepEqual(foreign, []);
});

test("what the documents link to is in the package", () => {
  const pages = packed.filter((path) => path.endsWith(".md"));
  const missing = pages.flatMap((page) =>
    pageLinks(readFileSync(join(installed, page), "utf8"))
      .map(({ target }) => join(dirname(page), target))
      .filter((path) => !existsSync(join(installed, path)))
      .map((path) => `${page}: ${path}`),
  );
  assert.deepEqual(missing, []);
});

test("the installed command shows its help and version", () => {
  const help = run(join("node_modules", ".bin", "graft"), ["--help"], project);
  assert.equal(help.status, 0, help.text);
  assert.match(help.stdout, /Usage: graft COMMAND/);
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  assert.equal(run(join("node_modules", ".bin", "graft"), ["--version"], project).stdout.trim(), version);
});

test("documents that the help of the installed command names are there", () => {
  const { stdout } = run(join("node_modules", ".bin", "graft"), ["train", "--help"], project);
  const named = stdout.match(/docs\/[\w-]+\.md/g) ?? [];
  assert.ok(named.length > 0);
  for (const name of named) assert.ok(existsSync(join(project, "node_modules", "graft", name)), name);
});

test("the installed command trains an adapter", () => {
  const args = [
    "train",
    "--model",
    "./tiny",
    "--data",
    "chats.jsonl",
    "--output",
    "out",
    "--steps",
    "2",
    "--json",
  ];
  const training = run(join("node_modules", ".bin", "graft"), args, project);
  assert.equal(training.status, 0, training.text);
  const events = jsonLines<{ event: string; steps?: number }>(training.stdout);
  assert.equal(events.filter(({ event }) => event === "step").length, 2);
  assert.equal(events.at(-1)?.event, "done");
  for (const file of ["adapter_config.json", "adapter_model.safetensors", "loss.svg"]) {
    assert.ok(existsSync(join(project, "out", file)), `out/${file} is missing`);
  }
});

for (const [entry, exported] of Object.entries({ graft: library, "graft/core": core })) {
  test(`a program of the project imports the same names from "${entry}" as the sources export`, () => {
    const script = `import * as graft from "${entry}"; console.log(JSON.stringify(Object.keys(graft)))`;
    writeFileSync(join(project, "names.js"), script);
    const names = run(process.execPath, ["names.js"], project);
    assert.equal(names.status, 0, names.text);
    assert.deepEqual(JSON.parse(names.stdout), Object.keys(exported));
  });
}

/** A Node of the machine that is older than the sources need, outside of the clone; null: there is none. */
function findOldNode(): string | null {
  const folders = (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((path) => !path.includes("node_modules"));
  const nodes = folders.map((path) => join(path, "node")).filter((path) => existsSync(path));
  return nodes.find((path) => /^v(20|21|22)\./.test(run(path, ["--version"], folder).stdout)) ?? null;
}

const oldNode = findOldNode();
const without = oldNode === null ? "this machine has no Node 20 to 22" : false;

test(
  "a program and the command train and write on the oldest Node that package.json allows",
  { skip: without },
  () => {
    const script = `
    import { openTextModel, train } from "graft";
    await train({ model: "./tiny", data: "chats.jsonl", output: "old", steps: 2, saveEvery: 1 });
    const model = await openTextModel("./tiny", { adapterPath: "old" });
    const { ids } = await model.write(model.encodePrompt("ka"), { maxNewTokens: 4 });
    await model.close();
    console.log(ids.length);`;
    writeFileSync(join(project, "old.js"), script);
    const program = run(oldNode!, ["old.js"], project);
    assert.deepEqual([program.status, program.stdout.trim()], [0, "4"], program.text);
    const command = run(
      oldNode!,
      [join(installed, "bin/graft.js"), "eval", "--model", "./tiny", "--data", "chats.jsonl"],
      project,
    );
    assert.equal(command.status, 0, command.text);
  },
);

/** Runs the type checker in the project. */
function typeCheck(config: object): { status: number | null; text: string } {
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
  return run(join(ROOT, "node_modules/.bin/tsc"), ["-p", "tsconfig.json"], project);
}

test("a TypeScript program of the project finds the types, without those of Node, and a wrong call is refused", () => {
  const check = (module: string, moduleResolution: string): string => {
    // Where links lie, not where they lead: there Node's types are found.
    const options = {
      strict: true,
      noEmit: true,
      target: "es2024",
      lib: ["es2024", "dom"],
      types: [],
      preserveSymlinks: true,
    };
    const compilerOptions = { ...options, module, moduleResolution };
    return typeCheck({ compilerOptions, files: ["program.ts", "wrong.ts"] }).text;
  };
  const call = (model: string): string => `import { train } from "graft";
import { METHODS } from "graft/core";
export const names: readonly string[] = METHODS.map(({ name }) => name);
export const steps: Promise<number> = train({ model: ${model}, data: "d", output: "o" }).then((r) => r.steps);
`;
  const where = `model: "m", data: [{ text: "t" }], output: "o"`;
  const own = `train({ ${where}, method: "mine", ofMine: 1 }, { methods: METHODS })`;
  writeFileSync(join(project, "program.ts"), `${call('"m"')}export const mine = ${own};\n`);
  const wrongs = ["learningRat: 1", 'rank: "4"', 'compute: "int9"'];
  const calls = wrongs.map((wrong) => `void train({ ${where}, ${wrong} });`);
  writeFileSync(join(project, "wrong.ts"), [call("1"), ...calls].join("\n"));
  for (const [module, resolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ] as const) {
    const errors = check(module, resolution)
      .match(/^\S.*/gm)
      ?.map((line) => line.replace(/\): .*? TS/, " TS"));
    const codes = errors?.map((error) => error.replace(/\(.*?(TS\d+).*/, " $1"));
    assert.deepEqual(codes, ["wrong.ts TS2322", "wrong.ts TS2561", "wrong.ts TS2322", "wrong.ts TS2322"]);
  }
});

/** A library on top of the package, whose declarations need names for what it exports without saying its types. */
const INFERRED = `import * as graft from "graft";

export const [model, talk] = [{} as graft.TextModel, {} as graft.Conversation];
export const { parts, tasks, generator } = model;
export const { engine } = generator;
export const { ask } = talk;
export const { attach, readDataset, importText, estimateFisher, createTokenizer, Evaluator, Classifier } = graft;
export const { create } = Evaluator;
export const { evaluate } = {} as graft.Evaluator;
export const { classify } = {} as graft.Classifier;
export const { compile } = {} as graft.Session;
export const { parameters, groups, sites, targets } = {} as graft.Adapter;
export const { source } = {} as graft.BaseModel;
export const { stream } = {} as graft.Tokenizer;
export const [optimizer] = graft.OPTIMIZERS;
export const { ALL_LINEAR, NOTHING_FROZEN, PLAIN_FILE } = graft;
export const answer = talk.ask("a", { maxNewTokens: 1 });
export const text = importText({} as graft.MovedText);
export const fisher = estimateFisher({} as graft.Session, {} as graft.Adapter, []);
export const dataset = readDataset("d", {} as graft.DatasetOptions);
export const evaluator = graft.Evaluator.create({} as graft.Session, null);
export const classified = ({} as graft.Classifier).classify([]);
export const compiled = ({} as graft.Session).compile("k", () => ({}) as never);
export const update = graft.OPTIMIZERS[0]!.update;
`;

test("the ts blocks of all pages, and a library that exports what the package gives, pass the type checker", () => {
  const blocks = join(project, "blocks");
  mkdirSync(join(blocks, "node_modules"), { recursive: true });
  // What a page imports beside the package.
  const imported = join(blocks, "node_modules", "onnxruntime-common");
  symlinkSync(join(ROOT, "node_modules", "onnxruntime-common"), imported);
  for (const page of PAGES) {
    for (const { language, code, line } of codeBlocks(readFileSync(join(ROOT, page), "utf8"))) {
      if (language !== "ts") continue;
      writeFileSync(join(blocks, `${page.replaceAll("/", "-")}-${line}.ts`), code);
    }
  }
  assert.ok(readdirSync(blocks).length > 1);
  writeFileSync(join(blocks, "inferred.ts"), INFERRED);
  const { status, text } = typeCheck({
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions: { typeRoots: [join(ROOT, "node_modules/@types")] },
    include: ["blocks/*.ts"],
  });
  assert.equal(status, 0, text);
});
