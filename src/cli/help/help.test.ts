import assert from "node:assert/strict";
import { test } from "node:test";

import { z } from "zod";

import { defineCommand } from "../command.ts";
import type { Command } from "../command.ts";
import { COMMANDS, loadCommands } from "../commands.ts";
import { parseArgv } from "../flags/argv.ts";
import { flagsOf } from "../flags/flags.ts";
import { commandHelp } from "./help.ts";
import { readOptions } from "../flags/options.ts";
import { programHelp } from "./program-help.ts";

const BODY = defineCommand({
  example: "npx graft data show chats.jsonl --rank 4",
  positionals: ["file", "others"],
  options: z.strictObject({
    file: z.string().describe("File to show"),
    others: z.array(z.string()).default([]).describe("More files"),
    rank: z.int().min(1).max(256).default(8).describe("Rank of both factors"),
    learningRate: z.number().optional().describe("Step size"),
    packing: z.boolean().default(true).describe("Put short examples into one sequence"),
    dtype: z.enum(["f32", "int8"]).describe("Products"),
    schedule: z.enum(["constant", "cosine", "linear", "warmup-decay"]).default("cosine").describe("Schedule"),
    memory: z
      .union([z.literal("auto"), z.number()])
      .default("auto")
      .describe("Memory in GB"),
    targetModulesWithAVeryLongNameIndeed: z.array(z.string()).default(["q_proj", "v_proj"]).describe("Sites"),
    text: z
      .string()
      .default("")
      .describe(
        "A long text that does not fit into one line of the help, so that it has to be broken somewhere",
      ),
  }),
  run: async () => {},
});
const COMMAND: Command = { ...BODY, name: "data show", summary: "Show what the model will learn from" };
const commands = await loadCommands();

/** All helps of a command: without a choice, and with each. */
function helpsOf(command: Command, width: number): string[] {
  const choices = (command.choosers ?? []).flatMap(({ key, kinds }) =>
    kinds.map(({ name }) => new Map([[key, name]])),
  );
  return [new Map<string, string>(), ...choices].map((chosen) => commandHelp(command, { width, chosen }));
}

test("the help of a command shows an example, arguments, types, ranges, choices and defaults", () => {
  assert.equal(
    commandHelp(COMMAND, { width: 100 }),
    `Show what the model will learn from.

Usage: graft data show FILE [OTHERS...] [flags]

Example:
  npx graft data show chats.jsonl --rank 4

Arguments:
  FILE    File to show (required)
  OTHERS  More files (default none)

Flags:
      --rank INTEGER          Rank of both factors (1 to 256; default 8)
      --learning-rate NUMBER  Step size
      --[no-]packing          Put short examples into one sequence (default on)
      --dtype f32|int8        Products (required)
      --schedule CHOICE       Schedule (one of constant, cosine, linear, warmup-decay; default
                              cosine)
      --memory auto|NUMBER    Memory in GB (default auto)
      --target-modules-with-a-very-long-name-indeed TEXT,...
                              Sites (default q_proj,v_proj)
      --text TEXT             A long text that does not fit into one line of the help, so that it
                              has to be broken somewhere

Flags of every command:
  -c, --config FILE  Read settings from a YAML or JSON file; flags take precedence
      --json         Write one JSON object per line instead of text
  -h, --help         Show this help`,
  );
});

test("flags stand in groups, and of a kind only the options of what is chosen", () => {
  const kinds = [
    { name: "round", options: z.strictObject({ size: z.int().default(3).describe("How large") }) },
    { name: "square", options: z.strictObject({ edge: z.int().nullable().default(null).describe("Edge") }) },
    { name: "flat", options: z.strictObject({}) },
  ];
  const body = defineCommand({
    example: "npx graft draw --shape round --color red --output a-file-with-a-long-name",
    positionals: [],
    options: z.strictObject({
      shape: z.enum(["round", "square", "flat"]).default("round").describe("Shape"),
      color: z.string().describe("Color"),
      output: z.string().describe("File"),
      rest: z.string().optional().describe("Rest"),
      size: z.int().optional().describe("round: How large"),
      edge: z.int().nullable().optional().describe("square: Edge"),
    }),
    groups: { look: ["shape", "color"], output: ["output"] },
    choosers: [{ key: "shape", kinds }],
    run: async () => {},
  });
  const command = { ...body, name: "draw", summary: "Draw" };
  const own = (text: string): string => text.slice(text.indexOf("Look:"), text.indexOf("\n\nFlags of every"));
  const width = 60;
  assert.equal(
    own(commandHelp(command, { width })),
    `Look:
      --shape round|square|flat
                    Shape (default round)
      --color TEXT  Color (required)

Output:
      --output TEXT  File (required)

Other flags:
      --rest TEXT  Rest

To see more, graft draw with:
      --shape NAME --help
          Also the options of one shape: round, square`,
  );
  assert.match(
    commandHelp(command, { width, chosen: new Map([["shape", "square"]]) }),
    /Options of shape square:\n.*--edge INTEGER *\n? *Edge$/m,
  );
  assert.match(
    commandHelp(command, { width, chosen: new Map([["shape", "flat"]]) }),
    /Options of shape flat: none/,
  );
});

test("the help of the program lists every command", () => {
  for (const width of [40, 60, 80, 120]) {
    const text = programHelp(COMMANDS, "graft.", width);
    for (const command of COMMANDS) assert.ok(text.includes(`  ${command.name} `), command.name);
    for (const line of text.split("\n")) assert.ok(line.length <= width, line);
  }
});

for (const command of commands) {
  test(`graft ${command.name}: the help fits the terminal, every flag is described, every key is one`, () => {
    for (const width of [60, 80, 120]) {
      for (const text of helpsOf(command, width)) {
        for (const line of text.split("\n")) assert.ok(line.length <= width, `${width}: ${line}`);
        assert.doesNotMatch(text, /default null|undefined|NaN|\(\)/);
      }
    }
    const flags = flagsOf(command);
    for (const flag of flags) assert.notEqual(flag.description, "", flag.name);
    const grouped = Object.values(command.groups ?? {}).flat();
    for (const key of [...command.positionals, ...grouped, ...(command.choosers ?? []).map((one) => one.key)])
      assert.ok(
        flags.some((flag) => flag.key === key),
        key,
      );
    assert.deepEqual(grouped, [...new Set(grouped)]);
    assert.doesNotMatch(command.summary, /\.$/);
  });

  test(`graft ${command.name}: the example is a call that is accepted`, async () => {
    const [npx, graft, ...words] = command.example.match(/"[^"]*"|\S+/g) ?? [];
    assert.deepEqual([npx, graft], ["npx", "graft"]);
    const own = command.name.split(" ");
    assert.deepEqual(words.slice(0, own.length), own);
    if (command.takesAllWords) return;
    const flags = flagsOf(command);
    const plain = words.slice(own.length).map((word) => word.replaceAll('"', ""));
    await readOptions(command, flags, parseArgv(plain, flags, command.positionals), {});
  });
}

test("every flag of graft train is in a group or an option of a kind", () => {
  const train = commands.find(({ name }) => name === "train");
  assert.ok(train);
  assert.doesNotMatch(commandHelp(train, { width: 100 }), /Other flags/);
  const peqa = commandHelp(train, { width: 100, chosen: new Map([["method", "peqa"]]) });
  assert.match(peqa, /^Options of method peqa:\n +--bits/m);
  assert.doesNotMatch(peqa, /--rank/);
});

test("a source of power is called a path or a command", () => {
  const train = commands.find(({ name }) => name === "train")!;
  assert.match(commandHelp(train, { width: 100 }), /--power PATH\|COMMAND /);
});

test("a text of a format is called so: a path, a name or a path, a size, a URL", () => {
  const help = commandHelp(
    commands.find(({ name }) => name === "serve")!,
    { width: 100 },
  );
  for (const form of [
    "--state PATH",
    "--model NAME|PATH",
    "--cache-memory SIZE",
    "--database URL",
    "--host TEXT",
  ])
    assert.ok(help.includes(`${form} `), form);
});
