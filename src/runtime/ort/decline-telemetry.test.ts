/** @file A process with an engine leaves nothing of ONNX Runtime's reports behind: a device's number comes first of all. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../../test/tiny/model.ts";

const SCRIPT = `
  import { createEngine } from ${JSON.stringify(join(import.meta.dirname, "../create-engine.ts"))};
  import { Graph } from ${JSON.stringify(join(import.meta.dirname, "../../graph", "graph.ts"))};
  import { neg } from ${JSON.stringify(join(import.meta.dirname, "../../graph", "ops", "pointwise", "elementwise.ts"))};
  const x = new Graph().input("x", "float32", [4]);
  const program = await createEngine({ threads: 1 }).compile({ name: "probe", inputs: { x }, outputs: { y: neg(x) } });
  await program.release();
  process.stdout.write(String(process.env.ORT_DISABLE_TELEMETRY));
`;

function runIn(home: string, more: Readonly<Record<string, string>>): string {
  const { ORT_DISABLE_TELEMETRY: _, XDG_CACHE_HOME: __, ...rest } = process.env;
  const env = { ...rest, HOME: home, ...more };
  return execFileSync(process.execPath, ["--input-type=module", "-e", SCRIPT], { env, encoding: "utf8" });
}

test("an engine declines the reports of ONNX Runtime before it is loaded, and overrules nobody", () => {
  const home = temporaryFolder();
  assert.equal(runIn(home, {}), "1");
  assert.deepEqual(readdirSync(home), []);
  assert.equal(runIn(home, { ORT_DISABLE_TELEMETRY: "true" }), "true");
});
