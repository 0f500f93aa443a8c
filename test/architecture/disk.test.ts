/** @file Files are read and written through one seam (`format/files/disk/calls`), in which tests let each call fail. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readImports } from "./import-graph.ts";

const SRC = join(import.meta.dirname, "../../src");
const SEAM = "format/files/disk/calls.ts";

/** Calls that only look at what is there. */
const LOOKS = ["existsSync", "fstatSync", "readdirSync", "realpathSync", "statSync"];

/** What else is called without the seam, and why. */
const OWN_CALLS = [
  // What gives a lock back and takes folders away while the process exits, when nothing can be waited for.
  "format/files/disk/folder-lock.ts renameSync",
  "format/files/disk/folder-lock.ts rmSync",
  "format/files/disk/make-folders.ts rmdirSync",
  // What the system tells of processes and processors, below /proc.
  "format/files/disk/owner.ts readFileSync",
  "train/files/processor.ts readFileSync",
  // Graft's own package.json and code.
  "cli/main.ts readFileSync",
  "data/files/unit-cache.ts readFileSync",
  "train/files/folder/environment.ts readFileSync",
  // Functions of the library that return what they have read at once.
  "data/files/chat-template-file.ts readFileSync",
  "data/files/image-files.ts readFileSync",
];

/** The functions that a file imports from a module of Node, types left out. */
function importedFrom(text: string, module: string): string[] {
  const named = new RegExp(`import \\{([^}]*)\\} from "${module}"`, "g");
  return [...text.matchAll(named)]
    .flatMap(([, names]) => names!.split(","))
    .map((name) => name.trim())
    .filter((name) => name !== "" && !name.startsWith("type "));
}

test("files are read and written through one seam, but for what only looks, and for a few calls that cannot", () => {
  const users = [...readImports()].filter(([, imports]) => imports.some((to) => /^node:fs\b/.test(to)));
  const found = users.flatMap(([name]) => {
    const text = readFileSync(join(SRC, name), "utf8");
    const whole = [...text.matchAll(/import (?:\w+|\* as \w+) from "(node:fs[^"]*)"/g)].map(
      ([, from]) => from!,
    );
    const calls = ["node:fs", "node:fs/promises"].flatMap((module) => importedFrom(text, module));
    return [...whole, ...calls.filter((call) => !LOOKS.includes(call))].map((call) => `${name} ${call}`);
  });
  assert.deepEqual(found.sort(), [...OWN_CALLS, `${SEAM} node:fs/promises`].sort());
});
