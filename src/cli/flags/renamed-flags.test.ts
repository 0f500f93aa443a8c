import assert from "node:assert/strict";
import { test } from "node:test";

import { SYNONYM_TARGETS, nearestName } from "../../messages/setting-names.ts";
import { UsageError } from "../../errors.ts";
import { parseArgv } from "./argv.ts";
import { loadCommands } from "../commands.ts";
import { flagsOf } from "./flags.ts";
import { readOptions } from "./options.ts";

const commands = await loadCommands();
const train = commands.find(({ name }) => name === "train")!;
const FLAGS = flagsOf(train);

test("the usual names of other tools lead to one flag of graft train, and their values are passed over", () => {
  const expected = {
    "--lr": "is not a flag: it is called --learning-rate here",
    "--lora-r": "is not a flag: it is called --rank here",
    "--max-seq-length": "is not a flag: it is called --max-length here",
    "--grad-accum": "is not a flag: it is called --gradient-accumulation-steps here",
    "--out": "is not a flag, the nearest is --output",
    "--per-device-train-batch-size": "is not a flag: it is called --batch-size here",
    "--num_train_epochs": "is not a flag: it is called --epochs here",
    "--lr-scheduler-type": "is not a flag: it is called --schedule here",
    "--fine-tune-type": "is not a flag: it is called --method here",
    "--iters": "is not a flag: it is called --steps here",
    "--cutoff_len": "is not a flag: it is called --max-length here",
    "--sequence_len": "is not a flag: it is called --max-length here",
    "--micro_batch_size": "is not a flag: it is called --batch-size here",
    "--resume_from_checkpoint": "is not a flag: it is called --resume here",
    "--save-total-limit": "is not a flag: it is called --keep-last here",
    "--val_size": "is not a flag: it is called --eval-share here",
    "--use-dora": "is not a flag: it is called --method dora here",
    "--model_name_or_path": "is not a flag: it is called --model here",
  };
  for (const [flag, problem] of Object.entries(expected)) {
    assert.deepEqual(parseArgv([flag, "7"], FLAGS, []).problems, [`${flag} ${problem}`]);
    assert.deepEqual(parseArgv([`${flag}=7`], FLAGS, []).problems, [`${flag} ${problem}`]);
  }
});

test("a value behind an equals sign is one", () => {
  const { texts, problems } = parseArgv(["--epochs=1", "--output=a=b"], FLAGS, []);
  assert.deepEqual(problems, []);
  assert.deepEqual([texts.get("epochs"), texts.get("output")], [["1"], ["a=b"]]);
});

test("--length has the name that training gives it, and says so", async () => {
  for (const name of ["eval", "merge", "fisher"]) {
    const command = commands.find((candidate) => candidate.name === name);
    assert.ok(command);
    const { problems, hints } = parseArgv(["--length", "32"], flagsOf(command), []);
    assert.deepEqual(problems, ["--length is not a flag any more"]);
    assert.deepEqual(hints, ["--length is now --max-length."]);
  }
});

test("every synonym stands for a flag that there is", () => {
  const known = new Set([
    "config",
    ...commands.flatMap((command) => flagsOf(command).map(({ name }) => name)),
  ]);
  assert.deepEqual(
    SYNONYM_TARGETS.filter((name) => !known.has(name)),
    [],
  );
});

test("no name of a flag is a synonym of another flag of its command", () => {
  for (const command of commands) {
    const names = flagsOf(command).map(({ name }) => name);
    for (const name of names) assert.equal(nearestName(name, names)?.name, name);
  }
});

test("what is expected of a value depends on what was chosen", async () => {
  const problem = async (...words: string[]): Promise<string> => {
    const argv = parseArgv(["--data", "d", "--output", "o", ...words], FLAGS, []);
    const error: unknown = await readOptions(train, FLAGS, argv, {}).catch((error: unknown) => error);
    assert.ok(error instanceof UsageError);
    return error.message.replace('Cannot run "graft train": ', "");
  };
  const road = ["--method", "road"];
  assert.equal(
    await problem(...road, "--group-size", "x"),
    '--group-size is "x", expected an even number of at least 2',
  );
  assert.equal(
    await problem(...road, "--group-size", "3"),
    "--group-size is 3, expected an even number of at least 2",
  );
  assert.equal(
    await problem("--dropout", "7"),
    "--dropout is 7, expected a number of at least 0 and below 1",
  );
  assert.equal(
    await problem("--init", "clip"),
    '--init is "clip", expected one of default, gaussian, pissa, olora',
  );
  assert.equal(await problem("--sparsity", "0.5"), "--sparsity is for method snell, not for lora");
  assert.equal(
    await problem("--epochs", "1", "--steps", "2"),
    "--epochs and --steps are both given, expected one of them",
  );
  assert.equal(
    await problem("--resume", "--overwrite"),
    "--resume and --overwrite are both given, expected one of them",
  );
});
