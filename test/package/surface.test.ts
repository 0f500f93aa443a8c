import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

import * as core from "../../src/core.ts";
import * as graft from "../../src/index.ts";

test("the library exports exactly these names", () => {
  assert.deepEqual(Object.keys(graft).toSorted(), [
    "ALL_LINEAR",
    "CODES",
    "CapacityError",
    "Classifier",
    "Conversation",
    "DEFAULT_MODEL",
    "Evaluator",
    "FAMILIES",
    "FailedError",
    "FormatError",
    "Generator",
    "GraftError",
    "METHODS",
    "NOTHING_FROZEN",
    "NO_STORE",
    "OBJECTIVES",
    "OPTIMIZERS",
    "PLAIN_FILE",
    "Random",
    "SCHEDULES",
    "Session",
    "TaskSet",
    "UsageError",
    "attach",
    "combineAdapters",
    "createChatTemplate",
    "createEngine",
    "createTokenizer",
    "defineBaseMethod",
    "defineMethod",
    "endRound",
    "estimateFisher",
    "exitStatus",
    "exportText",
    "fineTune",
    "imageFiles",
    "importText",
    "loadModel",
    "mergeAdapter",
    "mergedModel",
    "openCheckpoint",
    "openTextModel",
    "ops",
    "outerStep",
    "passInput",
    "planSteps",
    "readAdapter",
    "readDataset",
    "readImageFile",
    "readImages",
    "resolveModel",
    "toBatch",
    "train",
    "trainAveraged",
    "trainContribution",
    "unitsToBatch",
    "writeAdapter",
    "writeFisher",
    "writeOnnxModel",
  ]);
});

test('"graft/core" exports exactly these names', () => {
  assert.deepEqual(Object.keys(core).toSorted(), [
    "ALL_LINEAR",
    "CODES",
    "CapacityError",
    "Evaluator",
    "FAMILIES",
    "FailedError",
    "FormatError",
    "Generator",
    "GraftError",
    "METHODS",
    "NOTHING_FROZEN",
    "NO_STORE",
    "OBJECTIVES",
    "OPTIMIZERS",
    "PLAIN_FILE",
    "PLAIN_TARGET",
    "Random",
    "SCHEDULES",
    "Session",
    "UsageError",
    "adapterFiles",
    "attach",
    "createChatTemplate",
    "createTokenizer",
    "decodeIdx",
    "defineBaseMethod",
    "defineMethod",
    "exitStatus",
    "fineTune",
    "imageFiles",
    "loadWeights",
    "memoryFolder",
    "mergeAdapter",
    "mergedModel",
    "openCheckpoint",
    "ops",
    "pairImages",
    "passInput",
    "planSteps",
    "readAdapter",
    "readExamples",
    "recordBase",
    "toBatch",
    "toOnnx",
    "unitsToBatch",
  ]);
});

const SRC = join(import.meta.dirname, "../../src");

/** What an entry exports of a file, with the text of the file before each declaration. */
function declarationsOf(entry: string): { readonly name: string; readonly before: string }[] {
  const text = readFileSync(join(SRC, entry), "utf8");
  return [...text.matchAll(/export (?:type )?\{([^}]*)\} from "([^"]*)"/g)].flatMap(
    ([, names = "", file = ""]) => {
      const source = readFileSync(join(SRC, dirname(entry), file), "utf8");
      const all = names.split(",").map((name) => name.trim().replace(/^type /, ""));
      return all.filter(Boolean).map((name) => {
        const declared = source.search(
          new RegExp(`^export (async )?(class|interface|type|const|function\\*?) ${name}\\b`, "m"),
        );
        assert.ok(declared >= 0, `${file} declares no ${name}`);
        return { name, before: source.slice(0, declared).trimEnd() };
      });
    },
  );
}

test("editors say of every exported name what it is", () => {
  const all = ["index.ts", "core.ts", "everywhere.ts"].flatMap(declarationsOf);
  assert.ok(all.length > 100);
  const silent = all.filter(({ before }) => {
    // The head of a file tells of the file.
    const isHead = before.slice(before.lastIndexOf("/**")).includes("@file");
    return !before.endsWith("*/") || isHead;
  });
  assert.deepEqual(
    silent.map(({ name }) => name),
    [],
  );
});
