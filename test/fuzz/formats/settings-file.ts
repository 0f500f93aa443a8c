/** @file Settings files in YAML and JSON, read for the flags of `graft train`. */
import { writeFileSync } from "node:fs";
import { readConfigFile } from "../../../src/cli/flags/config-file.ts";
import { flagsOf } from "../../../src/cli/flags/flags.ts";
import { command as train } from "../../../src/cli/commands/train.ts";
import { scratchFolder } from "../scratch.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateText, pick } from "../mutate.ts";

const CORPUS = [
  "model: a/b\ndata: x.jsonl\nrank: 8\nlearning-rate: 1e-3\nlayers: [0, 1]\n",
  '{"model": "a/b", "data": ["x.jsonl"], "rank": 4, "targetModules": "all-linear"}',
  "a: &x [1, 2]\nb: *x\nc: |\n  text\n  more\nd: {e: f, g: !!float 1}\n",
];
const WORDS = [
  "- ",
  "? ",
  ": ",
  "&a ",
  "*a",
  "<<: *a",
  "!!binary ",
  "---\n",
  "%YAML 1.2\n",
  "\n  ",
  "{a: ",
  "[",
  "|\n",
  "'",
];

export const settingsFile: FuzzFormat = {
  name: "settings-file",
  numCases: 600,
  prepare() {
    const path = `${scratchFolder()}/settings.yaml`;
    const flags = flagsOf(train);
    return {
      make: (random) => mutateText(random, pick(random, CORPUS), WORDS),
      async read(input) {
        writeFileSync(path, input);
        await readConfigFile(path, flags);
      },
    };
  },
};
