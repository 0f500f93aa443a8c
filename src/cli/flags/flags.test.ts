import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import * as fc from "fast-check";
import { stringify } from "yaml";
import { z } from "zod";

import { UsageError } from "../../errors.ts";
import { COMMANDS } from "../commands.ts";
import { parseArgv } from "./argv.ts";
import { defineCommand } from "../command.ts";
import { NAME_OR_PATH, PATH } from "../../messages/paths.ts";
import { kebabCase } from "../../messages/setting-names.ts";
import { flagsOf } from "./flags.ts";
import { readOptions } from "./options.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-flags-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const ENV = { HOME: "/home/me" };

/** A command with every kind of flag; its options are what the tests look at. */
const BODY = defineCommand({
  example: "npx graft probe all a",
  positionals: ["inputFile", "moreFiles"],
  options: z.strictObject({
    inputFile: z.string(),
    moreFiles: z.array(z.string()).default([]),
    learningRate: z.number().positive().default(1e-4),
    rank: z.int().min(1).max(1024).default(8),
    dropRate: z.number().min(0).max(1).optional(),
    runName: z.string().default(""),
    packing: z.boolean().default(true),
    dtype: z.enum(["f32", "int8"]).default("f32"),
    checkpointing: z.enum(["on", "off"]).default("off"),
    targetModules: z.union([z.literal("all"), z.array(z.string())]).default("all"),
    layers: z.array(z.int().max(99)).optional(),
    memory: z.union([z.literal("auto"), z.number()]).default("auto"),
    init: z.record(z.string(), z.number()).optional(),
    data: z.union([PATH, z.array(PATH)]).optional(),
    output: PATH.min(1).optional(),
    adapters: z.array(NAME_OR_PATH).default([]),
  }),
  run: async () => {},
});
const COMMAND = { ...BODY, name: "probe all", summary: "Show the options" };
const FLAGS = flagsOf(COMMAND);

async function read(...words: string[]): Promise<Record<string, unknown>> {
  return (await readOptions(COMMAND, FLAGS, parseArgv(words, FLAGS, COMMAND.positionals), ENV)).options;
}

async function problemsOf(...words: string[]): Promise<string> {
  const error = await read(...words).then(
    () => assert.fail("no error"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof UsageError && error.code === "usage/flag");
  return error.message;
}

let numFiles = 0;
function writeSettings(text: string): string {
  const path = join(folder, `${numFiles++}.yaml`);
  writeFileSync(path, text);
  return path;
}

const word = fc.stringMatching(/^[a-z][a-z0-9_./]{0,8}$/).filter((text) => text !== "all");
const VALUES = fc.record(
  {
    inputFile: word,
    moreFiles: fc.array(word, { minLength: 1, maxLength: 3 }),
    learningRate: fc.double({ min: 1e-9, max: 10, noNaN: true }),
    rank: fc.integer({ min: 1, max: 1024 }),
    dropRate: fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0),
    runName: fc.string({ minLength: 1 }),
    packing: fc.boolean(),
    dtype: fc.constantFrom("f32", "int8"),
    checkpointing: fc.constantFrom("on", "off"),
    targetModules: fc.oneof(fc.constant("all"), fc.array(word, { minLength: 1, maxLength: 3 })),
    layers: fc.array(fc.integer({ min: -9, max: 99 }), { minLength: 1, maxLength: 4 }),
    memory: fc.oneof(fc.constant("auto"), fc.integer({ min: 0, max: 999 })),
    init: fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.integer({ min: 0, max: 9 }), {
      noNullPrototype: true,
    }),
  },
  { requiredKeys: ["inputFile"] },
);

/** Types one option in the way that `style` picks. */
function type(key: string, value: unknown, style: number): string[] {
  const flag = `--${kebabCase(key)}`;
  if (typeof value === "boolean") {
    const forms = [
      [value ? flag : `--no-${kebabCase(key)}`],
      [flag, value ? "on" : "off"],
      [`${flag}=${value}`],
    ];
    return forms[style % 3] ?? [];
  }
  if (Array.isArray(value) && style % 2 === 1) return value.flatMap((part) => [flag, String(part)]);
  const isText = typeof value === "string" || Array.isArray(value);
  const text = isText ? String(value) : JSON.stringify(value);
  // A value that looks like a flag can only be given with an equals sign.
  return style % 3 === 0 || text.startsWith("-") ? [`${flag}=${text}`] : [flag, text];
}

test("every flag of a schema reaches the options, in every way to type it", async () => {
  await fc.assert(
    fc.asyncProperty(VALUES, fc.nat(5), async (values, style) => {
      const words = Object.entries(values).flatMap(([key, value]) => type(key, value, style));
      assert.deepEqual(await read(...words), COMMAND.options.parse(values));
    }),
    { numRuns: 200 },
  );
});

test("every key of a settings file reaches the options, in every spelling", async () => {
  const spellings = [(key: string) => key, kebabCase, (key: string) => kebabCase(key).replaceAll("-", "_")];
  await fc.assert(
    fc.asyncProperty(VALUES, fc.nat(2), fc.boolean(), async (values, spelling, isJson) => {
      const spelled = Object.fromEntries(
        Object.entries(values).map(([key, value]) => [spellings[spelling]?.(key) ?? key, value]),
      );
      const path = writeSettings(isJson ? JSON.stringify(spelled) : stringify(spelled));
      assert.deepEqual(await read("--config", path), COMMAND.options.parse(values));
    }),
    { numRuns: 60 },
  );
});

test("lists by name are told from a list by their braces, whatever else would be YAML", async () => {
  const options = z.strictObject({
    tokens: z.union([
      z.array(z.union([z.int(), z.string()])),
      z.record(z.string(), z.array(z.union([z.int(), z.string()]))),
    ]),
  });
  const command = { ...COMMAND, options, positionals: [] };
  const flags = flagsOf(command);
  for (const [text, expected] of [
    ["[INST],17", ["[INST]", 17]],
    ["17", [17]],
    ["a: b", ["a: b"]],
    ["{}", ["{}"]],
    ["{", ["{"]],
    ['{embed: [5, "<tool>"], head: [17]}', { embed: [5, "<tool>"], head: [17] }],
  ] as const) {
    const { options: found } = await readOptions(
      command,
      flags,
      parseArgv([`--tokens=${text}`], flags, []),
      ENV,
    );
    assert.deepEqual(found, { tokens: expected });
  }
});

test("plain arguments fill the positional keys in order, the last one taking the rest", async () => {
  const options = await read("a", "--rank", "4", "b", "--", "--c");
  assert.deepEqual([options["inputFile"], options["moreFiles"], options["rank"]], ["a", ["b", "--c"], 4]);
});

test("flags win over the settings file, which wins over the defaults", async () => {
  const path = writeSettings(
    "input_file: from-file\nrank: 16\npacking: off\nlayers: 1,2\ncheckpointing: true\n",
  );
  const options = await read("-c", path, "--rank", "32");
  assert.equal(options["rank"], 32);
  assert.equal(options["inputFile"], "from-file");
  assert.equal(options["packing"], false);
  assert.deepEqual(options["layers"], [1, 2]);
  assert.equal(options["checkpointing"], "on");
  assert.equal(options["learningRate"], 1e-4);
});

test("a negative number is a value, not a flag", async () => {
  assert.deepEqual((await read("a", "--layers", "-1"))["layers"], [-1]);
  assert.match(
    await problemsOf("a", "--drop-rate", "-1"),
    /--drop-rate is -1, expected a number from 0 to 1$/,
  );
});

test("an unknown flag is an error that names the nearest one", async () => {
  assert.equal(
    await problemsOf("a", "--leraning-rate", "1"),
    'Cannot run "graft probe all": --leraning-rate is not a flag, the nearest is --learning-rate',
  );
});

test("all problems are told at once", async () => {
  const message = await problemsOf(
    "--rank",
    "x",
    "--dtype=f16",
    "--no-dtype",
    "--learning-rate",
    "0",
    "--run-name",
  );
  assert.doesNotMatch(await problemsOf("--input-file"), /missing/);
  for (const empty of [["--input-file="], ["--input-file", ""]]) {
    assert.match(await problemsOf(...empty), /: --input-file is empty, expected a value$/);
  }
  assert.deepEqual(
    message
      .split("\n")
      .slice(1)
      .map((line) => line.trim()),
    [
      "--no-dtype is not a flag, the nearest is --dtype",
      "--run-name has no value",
      "INPUT-FILE is missing",
      "--learning-rate is 0, expected a number above 0",
      '--rank is "x", expected a whole number from 1 to 1024',
      '--dtype is "f16", expected one of f32, int8',
    ],
  );
});

test("flags of every command that take no value say so", async () => {
  assert.match(await problemsOf("a", "--json=off"), /: --json takes no value$/);
  assert.match(await problemsOf("a", "--help=rank"), /: --help takes no value$/);
});

test("what is wrong with one value of a list is said of the flag", async () => {
  assert.match(
    await problemsOf("a", "--layers", "1,100"),
    /: --layers is 100, expected a whole number of at most 99$/,
  );
});

test("names of other tools, abbreviations and other spellings lead to the flag", async () => {
  const told = async (...words: string[]) => (await problemsOf("a", ...words)).replace(/^.*?: (--? ?)/, "$1");
  assert.equal(await told("--lr", "1e-4"), "--lr is not a flag: it is called --learning-rate here");
  assert.equal(await told("--lora-r=8"), "--lora-r is not a flag: it is called --rank here");
  assert.equal(await told("--dropRate", "0.1"), "--dropRate is not a flag, the nearest is --drop-rate");
  assert.equal(
    await told("--learning_rate", "1"),
    "--learning_rate is not a flag, the nearest is --learning-rate",
  );
  assert.equal(
    await told("--target-mod", "a,b"),
    "--target-mod is not a flag, the nearest is --target-modules",
  );
  assert.match(await told("-r", "8"), /^-r is not a flag: it is called --rank here;/);
});

test("the value of an unknown flag is no problem of its own, nor is an argument behind an unknown switch", async () => {
  const single = defineCommand({ ...COMMAND, positionals: ["inputFile"] });
  const problems = (...words: string[]) => parseArgv(words, FLAGS, single.positionals).problems;
  assert.deepEqual(problems("a", "--lr", "1e-4"), ["--lr is not a flag: it is called --learning-rate here"]);
  assert.deepEqual(problems("--frobnicate", "a"), ["--frobnicate is not a flag"]);
  assert.deepEqual((await problemsOf("--frobnicate", "a")).split(": ").at(-1), "--frobnicate is not a flag");
  assert.deepEqual(problems("--input-file", "a", "--frobnicate", "b"), ["--frobnicate is not a flag"]);
});

test("a flag that graft has no use for says what to do instead", async () => {
  await assert.rejects(read("a", "--load-in-4bit"), {
    hint: /^Weights are kept as they are stored: give a quantized/,
  });
});

test("an unknown key of a settings file is an error that names the nearest one", async () => {
  const path = writeSettings("input: a\nlearning_rte: 1\nlora_r: 8\n");
  const message = await problemsOf("a", "--config", path);
  assert.match(message, /key "learning_rte" of .* is not a setting, the nearest is "learningRate"/);
  assert.match(message, /key "input" of .* is not a setting/);
  assert.match(message, /key "lora_r" of .* is not a setting: it is called "rank" here/);
});

test("a key that schemas of mappings drop is told like any unknown key", async () => {
  const path = writeSettings('init: {"a": 1, "__proto__": 2}\n__proto__: 3\n');
  const message = await problemsOf("a", "--config", path);
  assert.match(message, /key "init\.__proto__" of .*yaml is not a setting/);
  assert.match(message, /key "__proto__" of .* is not a setting/);
  assert.match(await problemsOf("a", "--init", "{__proto__: 2}"), /--init\.__proto__ is not a setting/);
});

test("what is wrong with a key of a settings file is said of it, with the file, and of a flag that takes its place not", async () => {
  const path = writeSettings("learning_rate: -1\nrank: many\npacking: 7\n");
  const message = await problemsOf("a", "--config", path, "--rank", "x");
  assert.match(message, /^ {2}key "learning_rate" of .*yaml is -1, expected a number above 0$/m);
  assert.match(message, /^ {2}key "packing" of .*yaml is 7, expected true or false$/m);
  assert.match(message, /^ {2}--rank is "x", expected /m);
  assert.doesNotMatch(message, /many|--packing|--learning/);
  const ofItself = await problemsOf("a", "--config", writeSettings("rank: &rank [*rank]\n"));
  assert.match(
    ofItself,
    /key "rank" of .*yaml is a value that JSON cannot represent, expected a whole number/,
  );
});

test("what is wrong inside a value of a settings file is said of its place there, and of one alone without a number", async () => {
  const inList = await problemsOf("a", "--config", writeSettings("layers: [1, 100]\n"));
  assert.match(inList, /: key "layers\.1" of .*yaml is 100, expected /);
  const alone = await problemsOf("a", "--config", writeSettings("layers: 100\n"));
  assert.match(alone, /: key "layers" of .*yaml is 100, expected /);
});

test("a settings file that is missing, broken or a list is a format error", async () => {
  await assert.rejects(read("a", "--config", join(folder, "nothing.yaml")), { code: "format/file" });
  await assert.rejects(read("a", "--config", writeSettings("a: [1")), { code: "format/file" });
  await assert.rejects(read("a", "--config", writeSettings("- a")), { code: "format/file" });
  assert.equal((await read("a", "--config", writeSettings("")))["rank"], 8);
});

test("a plain argument and a flag for the same key contradict each other", async () => {
  assert.match(
    await problemsOf("a", "--input-file", "b"),
    /argument "a" and --input-file are the same setting/,
  );
});

test("a flag of one value that is given again is an error that shows all its values", async () => {
  assert.equal(
    await problemsOf("a", "--rank", "8", "--rank=16"),
    'Cannot run "graft probe all": --rank is given twice: "8" and "16", expected one value',
  );
  assert.match(
    await problemsOf("a", "--packing", "--no-packing", "--packing=off"),
    /--packing is given 3 times: "on", "off" and "off", expected one value/,
  );
  assert.match(
    await problemsOf("a", "-c", writeSettings("rank: 2"), "--config", writeSettings("rank: 3")),
    /--config is given twice: ".*yaml" and ".*yaml"/,
  );
  assert.deepEqual((await read("a", "--layers", "1", "--layers", "2,3"))["layers"], [1, 2, 3]);
});

test("words that every JavaScript object knows are plain words", async () => {
  assert.equal((await read("valueOf", "--run-name", "toString"))["runName"], "toString");
  assert.match(await problemsOf("a", "--constructor"), /--constructor is not a flag/);
  assert.match(await problemsOf("a", "--packing=valueOf"), /--packing is "valueOf", expected on or off/);
});

test("a surplus argument is an error", async () => {
  const argv = parseArgv(["a", "b"], FLAGS, ["inputFile"]);
  assert.deepEqual(argv.problems, ['unexpected argument "b"']);
  assert.deepEqual(argv.hints, []);
  const bare = parseArgv(["m.gguf"], FLAGS, []);
  assert.deepEqual(bare.hints, ["Name its flag: --data."]);
});

test("a list of paths is a flag that is repeated, and commas are part of a path", async () => {
  assert.equal((await read("x", "--data", "a,b.jsonl"))["data"], "a,b.jsonl");
  const both = await read("x", "--data", "a,b.jsonl", "--data=c.jsonl=2");
  assert.deepEqual(both["data"], ["a,b.jsonl", "c.jsonl=2"]);
  const file = writeSettings("data: [a.jsonl, c.jsonl=2]");
  assert.deepEqual((await read("x", "--config", file))["data"], ["a.jsonl", "c.jsonl=2"]);
});

test("~ is the home folder in every path, of flags and of settings files, and in nothing else", async () => {
  const words = [
    "--output=~/runs/a",
    "--data=~/a,b.jsonl",
    "--adapters",
    "one=~/one,~/two,~",
    "--run-name=~/x",
  ];
  const options = await read("~/in", ...words);
  assert.deepEqual(
    [options["output"], options["data"], options["adapters"], options["runName"], options["inputFile"]],
    [
      "/home/me/runs/a",
      "/home/me/a,b.jsonl",
      ["one=/home/me/one", "/home/me/two", "/home/me"],
      "~/x",
      "~/in",
    ],
  );
  const path = join(folder, "home.yaml");
  writeFileSync(
    path,
    stringify({ input_file: "in", output: "~/b", data: ["~/c", "d=~/e", "./~/f", "a~/g"] }),
  );
  const fromFile = await read("--config", path);
  assert.deepEqual(
    [fromFile["output"], fromFile["data"]],
    ["/home/me/b", ["/home/me/c", "d=/home/me/e", "./~/f", "a~/g"]],
  );
  const missing = read("--config=~/none.yaml", "in");
  await assert.rejects(missing, { message: /"\/home\/me\/none\.yaml"/ });
});

test("what a command calls a file, a folder or a model is a path", async () => {
  // An address, numbers, and what only speaks of such.
  const others = ["store", "database", "memory", "resident-memory", "classes", "skip-faulty"];
  for (const command of COMMANDS) {
    const flags = flagsOf(await command.load()).filter(
      ({ kinds, element, name }) =>
        [...kinds, ...(element?.kinds ?? [])].includes("string") && !others.includes(name),
    );
    for (const { name, description, takesPaths } of flags) {
      const isPath = /\b(file|folder)\b/i.test(description) || ["model", "data", "eval-data"].includes(name);
      assert.equal(takesPaths, isPath, `${command.name} --${name}: ${description}`);
    }
  }
});
