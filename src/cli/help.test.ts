import assert from "node:assert/strict";
import { test } from "node:test";

import { z } from "zod";

import { defineCommand } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { flagsOf } from "./flags.ts";
import { commandHelp, programHelp } from "./help.ts";

const COMMAND = defineCommand({
  name: "data show",
  summary: "Show what the model will learn from",
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

test("the help of a command shows arguments, types, ranges, choices and defaults", () => {
  assert.equal(
    commandHelp(COMMAND),
    `Show what the model will learn from.

Usage: graft data show FILE [OTHERS...] [flags]

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
  -c, --config FILE  Take settings from a YAML or JSON file; flags win
      --json         Write one JSON object per line instead of text
  -h, --help         Show this help`,
  );
});

test("the help of the program lists every command", () => {
  const text = programHelp(COMMANDS, "graft.");
  for (const command of COMMANDS) assert.ok(text.includes(`  ${command.name} `), command.name);
});

for (const command of COMMANDS) {
  test(`graft ${command.name}: the help fits 100 columns, every flag is described and every positional exists`, () => {
    for (const line of commandHelp(command).split("\n")) assert.ok(line.length <= 100, line);
    const flags = flagsOf(command);
    for (const flag of flags) assert.notEqual(flag.description, "", flag.name);
    for (const key of command.positionals)
      assert.ok(
        flags.some((flag) => flag.key === key),
        key,
      );
    assert.doesNotMatch(command.summary, /\.$/);
  });
}
