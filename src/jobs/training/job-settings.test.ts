/** @file What a client is told of a job names what it can send. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { newJob } from "../../../test/jobs/new-job.ts";
import { AUTO, JOB, type Job } from "../job.ts";
import { type JobPlaces, foreignSettings, inSettings, jobSettings } from "./job-settings.ts";
import { inBothForms } from "./two-forms.ts";
import { usedHyperparameters } from "./used-hyperparameters.ts";

const PLACES: JobPlaces = {
  model: "model",
  initAdapter: null,
  data: "a.jsonl",
  evalData: null,
  output: "run",
  width: 16,
  compute: "f32",
  weights: "float32",
  base: undefined,
};

test("flags of a training are told as settings of a job; those of the server, and what only looks like one, stay", () => {
  assert.equal(
    inSettings(
      "Give --eval-data or --eval-share, --dropbp (--seed) or --no-such, leave --threads; my--steps.jsonl",
    ),
    "Give validation_file or graft.evalShare, graft.dropbp (graft.seed) or --no-such, leave --threads; my--steps.jsonl",
  );
});

test("what only a command or the library has is left out of what is told of a job", () => {
  for (const [told, expected] of [
    [
      "Choose by --objective of graft train. Or skip faulty rows: --skip-faulty, skipFaulty in the library.",
      "Choose by graft.objective. Or skip faulty rows: graft.skipFaulty.",
    ],
    ["with --eval-data (graft eval does not), or other data", "with validation_file, or other data"],
    ["Raise --max-length (maxLength in the library), or not", "Raise graft.maxLength, or not"],
    ["`graft data show` prints what is trained on. To learn more, write rows.", "To learn more, write rows."],
    ["`--dropbp-rates uniform` needs no measurements.", "`graft.dropbpRates uniform` needs no measurements."],
    [
      "Free some space. Then continue with the same command and --resume.",
      "Free some space. Then create the job again.",
    ],
    [
      "Free some space. Then start over with the same command.",
      "Free some space. Then create the job again.",
    ],
    ["Free some space. Then start over with --overwrite.", "Free some space. Then create the job again."],
  ] as const)
    assert.equal(inSettings(told), expected);
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
    resumeFrom: "Give resume_from outside of graft.",
    resume: "Give resume_from outside of graft.",
    train_file: "Give training_file outside of graft.",
    initAdapter: "Give model outside of graft.",
    output_dir: "Leave it out.",
  });
});

test("what a job trains with is read again as it was kept, at the ends of what it may say too", () => {
  const cases: [Partial<Job>, object][] = [
    [{ graft: { learningRate: 0, steps: 1 } }, { learning_rate_multiplier: 0 }],
    [{ graft: { beta: 0 }, method: { type: "orpo" } }, { beta: 0 }],
    [{ graft: { learningRate: 1e290 } }, {}],
    [
      { hyperparameters: { ...AUTO, learning_rate_multiplier: 1e-300 } },
      { learning_rate_multiplier: 1e-300 },
    ],
  ];
  for (const [own, expected] of cases) {
    const job = inBothForms(newJob("ftjob-1", own));
    const used = usedHyperparameters(job, jobSettings(job, PLACES), PLACES, 1);
    const kept = JOB.parse(JSON.parse(JSON.stringify({ ...job, used })));
    assert.deepEqual(kept, { ...job, used });
    assert.deepEqual({ ...used, ...expected }, used);
  }
});

test("a job keeps the passes that it was given, and shows those that its steps make as a whole number", () => {
  const shown = (own: Partial<Job>, epochs = 5 / 3): unknown => {
    const job = inBothForms(newJob("ftjob-1", own));
    return usedHyperparameters(job, jobSettings(job, PLACES), PLACES, epochs).n_epochs;
  };
  assert.equal(shown({ hyperparameters: { ...AUTO, n_epochs: 1.5 } }), 1.5);
  assert.equal(shown({ graft: { epochs: 1.5 } }), 1.5);
  assert.equal(shown({ graft: { steps: 5 } }), 2);
  assert.equal(shown({ graft: { steps: 1 } }, 1 / 3), 1);
  assert.equal(shown({}), 2);
});

test("a learning rate that is no number as a multiple of the usual one, or by its multiplier, is refused by its key", () => {
  const multiplied = (learning_rate_multiplier: number): Partial<Job> => ({
    hyperparameters: { ...AUTO, learning_rate_multiplier },
  });
  for (const [own, key] of [
    [{ graft: { learningRate: 1e306 } }, "graft.learningRate"],
    [multiplied(1e-322), "learning_rate_multiplier"],
    [multiplied(1.7e308), "learning_rate_multiplier"],
  ] as const) {
    assert.throws(() => jobSettings(newJob("ftjob-1", own), PLACES), {
      code: "usage/flag",
      message: new RegExp(`^Cannot use ${key} in a job: .*, expected 0 or from 1e-300 to 1e\\+300 times`),
    });
  }
});
