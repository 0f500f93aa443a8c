/**
 * @file What writes: a training with checkpoints, one that goes on, the end of an averaged one, copies of a run, merges, a
 * combination, a pull; and what must hold after a failure.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { join, relative } from "node:path";
import { after } from "node:test";
import { combineAdapters } from "../../src/export/combined/combine.ts";
import { chooseKind } from "../../src/export/merged/merged-kinds.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { ADAPTER_FILES } from "../../src/format/adapters/adapter-folder.ts";
import { loadModel, readAdapter } from "../../src/format/by-path.ts";
import type { ModelFormat } from "../../src/format/checkpoint/checkpoint.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { copyRun } from "../../src/jobs/copy-run.ts";
import { systemClock } from "../../src/jobs/queue/system-clock.ts";
import { S3Store, storeAddress } from "../../src/jobs/store/s3.ts";
import { StoredRuns } from "../../src/jobs/store/stored-runs.ts";
import { finish } from "../../src/train/files/averaged-rounds.ts";
import { trainAveraged } from "../../src/train/files/averaged-training.ts";
import { checkManifest } from "../../src/train/files/folder/manifest.ts";
import { assertWhole, NAME, startHub } from "../files/fake-hub.ts";
import { BUCKET, startS3 } from "../jobs/s3-server.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { runTiny } from "../train/tiny-run.ts";

/** A piece of work that writes to an output. */
export interface Scenario {
  readonly name: string;
  /** Set where the number of calls differs from one time to the next. */
  readonly varies?: boolean;
  /** Puts what the work begins with at the output. */
  prepare?(output: string): void;
  act(output: string): Promise<unknown>;
  /** The same as a command: its words and what its environment has besides. */
  readonly command?: (output: string) => {
    readonly words: readonly string[];
    readonly env: NodeJS.ProcessEnv;
  };
  /** After a failure: all that has its final name is whole, compared with an output of unbroken work. */
  check(output: string, reference: string): Promise<void>;
  /** The same work once more, as a user would. */
  again(output: string): Promise<unknown>;
}

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const data = writeTinyChats(`${folder}/chats.jsonl`, 6);
const SETTINGS = { model, data, seed: 4, learningRate: 0.01, steps: 4, saveEvery: 2 };
const OTHER = `${folder}/other`;
const BEGUN = `${folder}/begun`;
const AVERAGED = `${folder}/averaged`;
const engine = createEngine({ threads: 1 });

/** Files with the same bytes in every run of these settings; others tell times, or where they lie. */
const SAME_BYTES = ["adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors"];

/** Makes what the scenarios start from. */
export async function prepareScenarios(): Promise<void> {
  await runTiny({ ...SETTINGS, output: OTHER, seed: 5 });
  await runTiny({ ...SETTINGS, output: BEGUN });
  await trainAveraged({ ...SETTINGS, threads: 1, output: AVERAGED }, { workers: 2, syncEvery: 2 });
  for (const name of ADAPTER_FILES) rmSync(join(AVERAGED, name));
  // As a run that was killed after its first checkpoint leaves it.
  for (const name of readdirSync(BEGUN)) {
    if (!["checkpoint-2", "config.yaml", "log.jsonl"].includes(name))
      rmSync(join(BEGUN, name), { recursive: true });
  }
}

/** Compares files that have the same bytes in every run, as far as they are there. */
function assertSameFiles(output: string, reference: string, names: readonly string[]): void {
  for (const name of names) {
    if (!existsSync(join(output, name))) continue;
    assert.ok(
      readFileSync(join(output, name)).equals(readFileSync(join(reference, name))),
      `${output}/${name}`,
    );
  }
}

/** Checkpoints are whole and the right ones, the result is, lines of the log are, but for the last. */
async function checkRun(output: string, reference: string): Promise<void> {
  if (!existsSync(output)) return;
  const names = readdirSync(output);
  for (const name of names.filter((each) => /^checkpoint-\d+$/.test(each))) {
    await checkManifest(join(output, name), Number(name.split("-")[1]));
    assert.deepEqual(readdirSync(join(output, name)).sort(), readdirSync(join(reference, name)).sort());
    assertSameFiles(join(output, name), join(reference, name), SAME_BYTES);
  }
  assertSameFiles(output, reference, SAME_BYTES);
  for (const name of ["trainer_state.json", "adapter_config.json"]) {
    if (names.includes(name)) JSON.parse(readFileSync(join(output, name), "utf8"));
  }
  if (names.includes("log.jsonl")) {
    for (const line of readFileSync(join(output, "log.jsonl"), "utf8").split("\n").slice(0, -1))
      JSON.parse(line);
  }
  const temporary = names.filter((name) => name.startsWith("."));
  assert.deepEqual(temporary, [], "something half-written is left");
}

/** Goes on with a run, or begins anew where it has no checkpoint. */
async function trainAgain(output: string): Promise<void> {
  const hasRun = existsSync(output) && readdirSync(output).length > 0;
  const canResume = hasRun && readdirSync(output).some((name) => /^checkpoint-\d+$/.test(name));
  await runTiny({ ...SETTINGS, output, resume: canResume, overwrite: hasRun && !canResume });
  for (const name of ["adapter_model.safetensors", "checkpoint-4"])
    assert.ok(existsSync(join(output, name)), name);
}

const training: Scenario = {
  name: "training",
  act: (output) => runTiny({ ...SETTINGS, output }),
  check: checkRun,
  again: trainAgain,
};

const resuming: Scenario = {
  name: "resuming",
  prepare: (output) => cpSync(BEGUN, output, { recursive: true }),
  act: (output) => runTiny({ ...SETTINGS, output, resume: true }),
  async check(output, reference) {
    await checkRun(output, reference);
    const hasOlder = ["checkpoint-2", "checkpoint-2.damaged"].some((name) => existsSync(join(output, name)));
    assert.ok(hasOlder, "the older checkpoint is gone");
  },
  again: trainAgain,
};

/** The adapter of an output is there with all its files, or none of them. */
async function checkResult(output: string, reference: string): Promise<void> {
  const files = ADAPTER_FILES.filter((name) => existsSync(join(output, name)));
  if (files.length > 0) assert.deepEqual(files, ADAPTER_FILES);
  assertSameFiles(output, reference, ADAPTER_FILES);
  assert.deepEqual(
    readdirSync(output).filter((name) => name.startsWith(".")),
    [],
  );
}

const finishAveraged = (output: string): Promise<void> => finish(output, SETTINGS.steps);
const averaging: Scenario = {
  name: "ending an averaged training",
  prepare: (output) => cpSync(AVERAGED, output, { recursive: true }),
  act: finishAveraged,
  check: checkResult,
  again: finishAveraged,
};

/** The files of a run, each as they are in another, or nothing at all. */
async function checkCopy(output: string, reference: string): Promise<void> {
  if (!existsSync(output)) return;
  const paths = filesBelow(reference);
  assert.deepEqual(filesBelow(output), paths);
  assertSameFiles(output, reference, paths);
}

function filesBelow(path: string): string[] {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((each) => each.isFile())
    .map((each) => relative(path, join(each.parentPath, each.name)))
    .sort();
}

/** A copy of a run, whose second attempt ends. */
function copying(name: string, act: (output: string) => Promise<unknown>): Scenario {
  const again = async (output: string): Promise<void> => {
    await act(output);
    await checkCopy(output, OTHER);
    assert.ok(existsSync(output));
  };
  return { name, act, check: checkCopy, again };
}

const s3 = await startS3();
after(() => s3.close());
const store = new S3Store(storeAddress(`s3://${BUCKET}`, s3.env), systemClock);
const storing = async (output: string): Promise<void> => {
  await new StoredRuns(store, () => OTHER).publish("job", "run");
  await new StoredRuns(store, () => output).fetch("job", "run");
};

/** Everything below an output, or nothing at all. */
async function checkAllOrNothing(output: string, reference: string): Promise<void> {
  if (!existsSync(output)) return;
  if (statSync(output).isFile()) return assert.ok(readFileSync(output).equals(readFileSync(reference)));
  assert.deepEqual(readdirSync(output).sort(), readdirSync(reference).sort());
  // The card leaves out what cannot be read at the time.
  const names = readdirSync(reference).filter((name) => name !== "README.md");
  assertSameFiles(output, reference, names);
}

/** What takes new outputs alone: one that is whole stays. */
function againUnlessWhole(act: Scenario["act"]): Scenario["again"] {
  return async (output) => {
    if (!existsSync(output)) await act(output);
  };
}

function merging(to: ModelFormat): Scenario {
  const act = async (output: string): Promise<void> => {
    const { base, checkpoint } = await loadModel(model);
    try {
      const { adapter } = await readAdapter(OTHER, base);
      const kind = chooseKind(checkpoint.format, to, null);
      await writeMergedModel({ engine, base, checkpoint, adapter, path: output, to, kind });
    } finally {
      await checkpoint.close();
    }
  };
  const words = ["merge", "--model", model, "--adapter", OTHER, "--to", to, "--threads", "1", "--output"];
  const command = (output: string) => ({ words: [...words, output], env: {} });
  return { name: `merging into ${to}`, act, command, check: checkAllOrNothing, again: againUnlessWhole(act) };
}

const combine = async (output: string): Promise<void> => {
  const combined = await combineAdapters({ expression: "0.5*a + b", adapters: { a: OTHER, b: OTHER } });
  await combined.write(output);
};
const combining: Scenario = {
  name: "combining",
  act: combine,
  command: (output) => ({
    words: ["combine", "0.5*a + b", "--adapter", `a=${OTHER}`, "--adapter", `b=${OTHER}`, "--output", output],
    env: {},
  }),
  check: checkAllOrNothing,
  again: againUnlessWhole(combine),
};

const fake = await startHub();
const pull = async (output: string): Promise<void> => {
  const { path } = await fake.pull({ env: { ...fake.env, GRAFT_HOME: output } });
  assertWhole(path);
};
const pulling: Scenario = {
  name: "pulling",
  // As many writes as pieces come from the network.
  varies: true,
  act: pull,
  command: (output) => ({ words: ["pull", NAME], env: { ...fake.env, GRAFT_HOME: output } }),
  async check(output) {
    const entry = join(output, "models", "owner--tiny");
    if (existsSync(entry)) assertWhole(entry);
  },
  async again(output) {
    await pull(output);
    assert.deepEqual(readdirSync(join(output, "models")), ["owner--tiny"]);
  },
};

/** A cache in which one file was cut short. */
const DAMAGED = `${folder}/damaged`;
const entryOf = (home: string): string => join(home, "models", "owner--tiny");
await pull(DAMAGED);
truncateSync(join(entryOf(DAMAGED), "model.safetensors"), 1000);
const repair = (output: string): Promise<unknown> =>
  fake.pull({ env: { ...fake.env, GRAFT_HOME: output }, verify: true });
const repairing: Scenario = {
  name: "repairing",
  varies: true,
  prepare: (output) => cpSync(DAMAGED, output, { recursive: true }),
  act: repair,
  async check(output) {
    const entry = entryOf(output);
    if (!existsSync(entry)) return;
    // As it was found, or whole.
    const isAsFound = statSync(join(entry, "model.safetensors")).size === 1000;
    if (isAsFound) assertSameFiles(entry, entryOf(DAMAGED), readdirSync(entryOf(DAMAGED)));
    else assertWhole(entry);
  },
  async again(output) {
    await repair(output);
    assertWhole(entryOf(output));
    assert.deepEqual(readdirSync(join(output, "models")), ["owner--tiny"]);
  },
};

export const SCENARIOS: readonly Scenario[] = [
  training,
  resuming,
  averaging,
  copying("copying a run", (output) => copyRun(OTHER, output)),
  copying("sharing a run by a store", storing),
  merging("hf"),
  merging("gguf"),
  combining,
  pulling,
  repairing,
];
