import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { COMMAND_CODES } from "./cli/report.ts";
import { CODES, type ErrorCode, FormatError, GraftError, UsageError, errorOf, exitStatus } from "./errors.ts";

test("an error carries its code and hint, and usage alone ends with status 2", () => {
  const error = new UsageError("usage/flag", "wrong", { hint: "Mend it." });
  assert.ok(error instanceof GraftError);
  assert.deepEqual([error.name, error.code, error.hint], ["UsageError", "usage/flag", "Mend it."]);
  assert.equal(exitStatus(error), 2);
  assert.equal(exitStatus(new FormatError("format/file", "broken")), 1);
});

test("a class takes the codes of its own kind alone", () => {
  // @ts-expect-error a code of another class: what is tested is that the types refuse it
  assert.equal(new FormatError("usage/flag", "wrong").code, "usage/flag");
});

test("an error that was told by its code is of the class of its kind", () => {
  for (const [code, [kind]] of Object.entries(CODES)) {
    const { name, message, hint, ...error } = errorOf(code as ErrorCode, "found", "Mend it.");
    assert.deepEqual([error.code, message, hint], [code, "found", "Mend it."]);
    assert.equal(name.toLowerCase(), `${kind}error`);
  }
});

test("the launcher's own code and status are those of the table", () => {
  const launcher = readFileSync(new URL("../bin/graft.js", import.meta.url), "utf8");
  assert.ok(launcher.includes("error[usage/node]"));
  assert.ok(launcher.includes(`process.exitCode = ${COMMAND_CODES["usage/node"][0]};`));
});
