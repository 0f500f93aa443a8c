import assert from "node:assert/strict";
import { test } from "node:test";

import * as graft from "../src/index.ts";

test("the library exports exactly these names", () => {
  assert.deepEqual(Object.keys(graft).toSorted(), [
    "ARCHITECTURES",
    "CODES",
    "CapacityError",
    "Classifier",
    "Conversation",
    "DEFAULT_MODEL",
    "Evaluator",
    "FailedError",
    "FormatError",
    "GraftError",
    "METHODS",
    "OPTIMIZERS",
    "Random",
    "SCHEDULES",
    "UsageError",
    "attach",
    "combineAdapters",
    "createChatTemplate",
    "createOrtEngine",
    "createTokenizer",
    "defineMethod",
    "exitStatus",
    "imageFiles",
    "loadModel",
    "mergeAdapter",
    "mergedModel",
    "openCheckpoint",
    "openTextModel",
    "ops",
    "readAdapter",
    "readDataset",
    "readImageFile",
    "readImages",
    "resolveModel",
    "train",
  ]);
});
