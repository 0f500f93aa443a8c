import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { parseArgv } from "./argv.ts";
import { combine } from "./combine.ts";
import type { Command } from "./command.ts";
import { flagsOf } from "./flags.ts";
import { generate } from "./generate.ts";
import { merge } from "./merge.ts";
import { readOptions } from "./options.ts";
import { train } from "./train.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-renamed-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const TRAIN = ["--data", "a.jsonl", "--output", "out"];

async function read(command: Command, words: readonly string[]): Promise<unknown> {
  const flags = flagsOf(command);
  return await readOptions(command, flags, parseArgv(words, flags, command.positionals));
}

for (const [command, words, old, hint] of [
  [train, ["--accumulation", "4"], "accumulation", "now --gradient-accumulation-steps."],
  [train, ["--keep-widened"], "keep-widened", "now --weights float32."],
  [train, ["--no-keep-widened"], "no-keep-widened", "now --weights stored."],
] as const) {
  test(`graft ${command.name} ${words.join(" ")} is refused with the name of today`, async () => {
    await assert.rejects(read(command, [...TRAIN, ...words]), {
      code: "usage/flag",
      message: `Cannot run "graft train": --${old} is not a flag any more`,
      hint: `--${old} is ${hint} See graft train --help.`,
    });
  });
}

test("an old flag of other commands, too", async () => {
  await assert.rejects(read(generate, ["--prompt", "a", "--keep-widened"]), {
    hint: /--keep-widened is now --weights float32/,
  });
  await assert.rejects(read(merge, ["--adapter", "a", "--output", "b", "--type", "q8_0"]), {
    message: /--type is not a flag any more/,
    hint: /--type is now --dtype\./,
  });
  assert.ok(await read(combine, ["a", "--adapter", "a=b", "--output", "c", "--type", "cat"]));
});

test("an old key of a settings file is refused with the name of today", async () => {
  const path = join(folder, "old.yaml");
  writeFileSync(path, "accumulation: 2\nkeep_widened: true\n");
  await assert.rejects(read(train, [...TRAIN, "--config", path]), {
    code: "usage/flag",
    message: /2 problems\n {2}key "accumulation" of .* is not a setting any more\n {2}key "keep_widened"/,
    hint: /--accumulation is now --gradient-accumulation-steps\. --keep-widened is now --weights float32\./,
  });
});
