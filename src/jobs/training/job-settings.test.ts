/** @file What a client is told of a job names what it can send. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inSettings } from "./job-settings.ts";

test("flags of a training are told as settings of a job; those of the server, and what only looks like one, stay", () => {
  assert.equal(
    inSettings(
      "Give --eval-data or --eval-share, --dropbp (--seed) or --no-such, leave --threads; my--steps.jsonl",
    ),
    "Give validation_file or graft.evalShare, graft.dropbp (graft.seed) or --no-such, leave --threads; my--steps.jsonl",
  );
});
