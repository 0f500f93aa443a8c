import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { METHODS, findMethod } from "../../src/peft/methods.ts";
import { temporaryFolder } from "../../test/tiny/model.ts";
import { checkPeers, problemsOf } from "./check-peers.ts";
import { PEER_CASES, WITHOUT_PEER } from "./peer-cases.ts";

const folder = temporaryFolder();
const before = process.env["GRAFT_PEERS_PYTHON"];
after(() => {
  if (before === undefined) delete process.env["GRAFT_PEERS_PYTHON"];
  else process.env["GRAFT_PEERS_PYTHON"] = before;
});

/** Puts a program in Python's place that reads the task as the script does and answers what `answer` computes. */
function standIn(name: string, answer: string): void {
  const path = join(folder, name);
  writeFileSync(
    path,
    `#!${process.execPath}
const fs = require("node:fs");
const { ids, cases } = JSON.parse(fs.readFileSync(process.argv[3], "utf8"));
for (const { name, model, adapter, logits } of cases) {
  const numLogits = fs.statSync(logits).size / 4;
  const tensors = adapter === null ? 0 : fs.statSync(adapter + "/adapter_model.safetensors").size;
  ${answer}
}
`,
  );
  chmodSync(path, 0o755);
  process.env["GRAFT_PEERS_PYTHON"] = path;
}

const silent = (): void => {};
const equal = { name: "a", difference: 1e-6, largest: 4, unused: [], warnings: [] };

test("problemsOf() finds none in an equal answer, and each of the others", () => {
  assert.deepEqual(problemsOf(equal), []);
  assert.match(problemsOf(undefined).join(), /no answer/);
  assert.match(problemsOf({ name: "a", error: "KeyError: x" }).join(), /does not load it: KeyError: x/);
  assert.match(problemsOf({ ...equal, difference: 2e-4 }).join(), /differ by 0.0002/);
  assert.match(problemsOf({ ...equal, difference: NaN }).join(), /differ by NaN/);
  assert.match(problemsOf({ name: "a" }).join(), /differ by NaN/);
  assert.match(problemsOf({ ...equal, unused: ["x.lora_C"] }).join(), /does not read x\.lora_C/);
  assert.match(problemsOf({ ...equal, warnings: ["missing keys"] }).join(), /warns: missing keys/);
  const tied =
    "a tied layer is part of the adapter, but `ensure_weight_tying` is not set to True. This can lead";
  assert.deepEqual(problemsOf({ ...equal, warnings: [tied] }), []);
});

test("checkPeers() hands over a folder and the logits of every case", async () => {
  standIn(
    "equal",
    `const whole = numLogits === ids.length * ids[0].length * 259 && (adapter === null || tensors > 0);
     console.log(JSON.stringify({ name, difference: whole ? 0 : 1, largest: 1, unused: [], warnings: [] }));`,
  );
  const { table, isEqual } = await checkPeers(PEER_CASES.slice(0, 2), silent);
  assert.ok(isEqual, table);
  assert.match(table, /^no adapter, plain .* equal$/m);
  assert.match(table, /^lora .* equal$/m);
});

test("checkPeers() tells what is wrong with one case", async () => {
  standIn("unlike", `console.log(JSON.stringify({ name, difference: adapter ? 0.5 : 0, largest: 1 }));`);
  const { table, isEqual } = await checkPeers(PEER_CASES.slice(0, 1), silent);
  assert.equal(isEqual, false);
  assert.match(table, /^no adapter, plain .* equal$/m);
  assert.match(table, /^lora .* DIFFERS$/m);
  assert.match(table, /^lora: logits differ by 0\.5, expected at most 0\.0001$/m);
});

test("every method has a case that its schema takes, or a reason why peft cannot load it", () => {
  const names = PEER_CASES.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name } of METHODS) {
    const has = PEER_CASES.some(({ method }) => method === name);
    assert.notEqual(has, name in WITHOUT_PEER, `${name}: expected a line in bench/checks/peer-cases.ts`);
  }
  for (const { name, method, options } of PEER_CASES) {
    assert.ok(findMethod(method).options.safeParse(options).success, name);
  }
});
