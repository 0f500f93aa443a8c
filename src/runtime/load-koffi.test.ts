import assert from "node:assert/strict";
import { test } from "node:test";
import { createEngine } from "./create-engine.ts";

test("on Bun, which calls of koffi end, programs run by ONNX Runtime's own binding", () => {
  Object.defineProperty(globalThis, "Bun", { value: {} });
  assert.equal(createEngine({ threads: 1 }).name, "onnxruntime-node");
});
