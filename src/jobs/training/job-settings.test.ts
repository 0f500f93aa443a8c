/** @file What a client is told of a job names what it can send. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { foreignSettings, inSettings } from "./job-settings.ts";

test("flags of a training are told as settings of a job; those of the server, and what only looks like one, stay", () => {
  assert.equal(
    inSettings(
      "Give --eval-data or --eval-share, --dropbp (--seed) or --no-such, leave --threads; my--steps.jsonl",
    ),
    "Give validation_file or graft.evalShare, graft.dropbp (graft.seed) or --no-such, leave --threads; my--steps.jsonl",
  );
});

test("a way on from a run, and what a job says beside its own settings, are told by the keys that say it", () => {
  assert.equal(
    inSettings("Give the same settings, or start a new run from it with --init-adapter."),
    "Give the same settings, or start a new run from it with model (the name of an adapter).",
  );
  const hints = Object.fromEntries(
    foreignSettings({
      resumeFrom: "a",
      resume: true,
      train_file: "b",
      initAdapter: "c",
      output_dir: "d",
      rank: 8,
    }).map(({ key, hint }) => [key, hint]),
  );
  assert.deepEqual(hints, {
    resumeFrom: "Give resume_from beside graft.",
    resume: "Give resume_from beside graft.",
    train_file: "Give training_file beside graft.",
    initAdapter: "Give model beside graft.",
    output_dir: "Leave it out.",
  });
});
