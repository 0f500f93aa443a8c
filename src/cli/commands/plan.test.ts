/** Tests of `graft plan` and of runs that are fitted into memory: what is told, chosen, kept for going on, and refused. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { keepRates } from "../../../test/files/kept-rates.ts";
import { runMain } from "../../../test/process/run-main.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../../../test/tiny/model.ts";
import { shellWords } from "../../messages/shell-words.ts";
import { sizeToAsk } from "../../train/files/setup/fit-run.ts";
import { jsonLines } from "../../../test/files/read-json.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(join(folder, "model"));
const data = writeTinyChats(join(folder, "chats.jsonl"), 12);
// Those of one thread are measured.
await keepRates({ GRAFT_HOME: folder });
const SHORT = ["--model", model, "--threads", "1", "--steps", "2"];
const SETTINGS = [...SHORT, "--data", data, "--max-length", "64"];

interface Plan {
  readonly event: string;
  readonly bytes: Readonly<Record<string, number>>;
  readonly chosen: Readonly<Record<string, unknown>>;
  readonly step_seconds: number;
  readonly total_steps: number;
  readonly command: string;
}

/** The size to ask for so that plans of so many bytes fit. */
function sizeFor(bytes: number): string {
  return `${Math.ceil(sizeToAsk(bytes) / 1e3)}KB`;
}

/** What is told where a plan of so many bytes does not fit: its bytes as a plan tells them, and what is left beside. */
function refusalOf(bytes = NaN, memory: string): RegExp {
  const [planned, aside] = [bytes, sizeToAsk(bytes) - bytes].map((each) => Math.ceil(each / 1e6));
  return new RegExp(
    `Cannot train with this plan: it needs about ${planned} MB and ${aside} MB as a reserve, expected at most --memory ${memory}$`,
    "m",
  );
}

async function run(...words: readonly string[]): ReturnType<typeof runMain> {
  return await runMain(words, { GRAFT_HOME: folder });
}

async function plan(...words: readonly string[]): Promise<Plan> {
  return await planOf([...SETTINGS, ...words]);
}

async function planOf(words: readonly string[]): Promise<Plan> {
  const { status, stdout, stderr } = await run("plan", ...words, "--json");
  assert.equal(status, 0, stderr);
  return jsonLines<Plan>(stdout).at(-1)!;
}

test("a plan says bytes by what they are for, time, and the command that trains so", async () => {
  const { stdout, stderr, status } = await run("plan", ...SETTINGS);
  assert.equal(status, 0, stderr);
  for (const part of [
    "weights",
    "trained",
    "gradients",
    "optimizer",
    "activations",
    "scratch",
    "samples",
    "process",
    "peak",
  ])
    assert.match(stdout, new RegExp(`^${part} +\\d+(\\.\\d)? [KM]?B  .`, "m"));
  for (const line of stdout.split("\n"))
    assert.ok(line.length <= 80 || /^(Command|Time)/.test(line), `${line.length} columns: ${line}`);
  assert.match(stdout, /^Time +about (?!0(\.0)? )\d+(\.\d+)? m?s per step, .* for 2 steps$/m);
  const { bytes, step_seconds: seconds, command } = await plan();
  const { peak = 0, ...parts } = bytes;
  assert.equal(
    peak,
    Object.values(parts).reduce((sum, part) => sum + part, 0),
  );
  assert.ok(seconds > 0);
  assert.match(command, /^npx graft train .*--model .* --data .* --max-length 64 /);
});

test("what writes samples is planned: an engine, its programs' blocks as far as they differ or stay, keys and values", async () => {
  const prompts = join(folder, "prompts.txt");
  writeFileSync(prompts, "Where?\n");
  const twice = await writeTinyModel(join(folder, "twice"), { config: { num_hidden_layers: 4 } });
  const samplesOf = async (numTokens: number, ofModel = model, weights = "stored"): Promise<number> => {
    const words = ["--model", ofModel, "--data", data, "--steps", "2", "--sample-tokens", String(numTokens)];
    return (await planOf([...words, "--samples", prompts, "--weights", weights])).bytes["samples"] ?? 0;
  };
  const [few, many] = [await samplesOf(16), await samplesOf(48)];
  const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as Record<string, number>;
  const {
    num_key_value_heads: numHeads = 0,
    num_attention_heads: numQueries = 0,
    hidden_size: size = 0,
  } = config;
  // Keys and values of two layers in float32, in pages and by heads.
  assert.equal(many - few, 32 * 2 * 2 * 2 * 4 * numHeads * (size / numQueries));
  assert.ok(few > 15e6, `${few}`);
  const ofNodes = (await samplesOf(16, twice, "float32")) - (await samplesOf(16, model, "float32"));
  assert.ok(ofNodes > 25 * 20e3 * 2, `two more layers that stay: ${ofNodes}`);
  const ofTwo = 16 * 2 * 2 * 2 * 4 * numHeads * (size / numQueries);
  assert.equal((await samplesOf(16, twice)) - few, ofTwo, "two more that share a program");
  const [without, withSamples] = [await plan(), await plan("--samples", prompts, "--sample-tokens", "16")];
  assert.equal(without.bytes["samples"], 0);
  assert.equal(withSamples.bytes["peak"]! - without.bytes["peak"]!, few);
});

test("a configuration is enough: neither weights nor data need be there", async () => {
  const outline = join(folder, "outline");
  cpSync(model, outline, { recursive: true, filter: (path) => !path.endsWith(".safetensors") });
  for (const words of [
    [],
    ["--objective", "dpo"],
    ["--method", "full", "--eval-share", "0.1"],
    ["--base", "q8_0"],
    ["--objective", "classification", "--num-classes", "3"],
  ]) {
    const [whole, alone] = [
      await planOf(["--model", model, "--max-length", "64", ...words]),
      await planOf(["--model", outline, "--max-length", "64", ...words]),
    ];
    assert.deepEqual(alone.bytes, whole.bytes);
    assert.equal(alone.total_steps, 1);
  }
  // Rows as long as they may be take what the longest of a file do.
  const text = join(folder, "long.txt");
  writeFileSync(text, "Rain fell on the hills. ".repeat(60));
  const { bytes: found } = await planOf(["--model", model, "--max-length", "64", "--data", text]);
  const { bytes, command } = await planOf(["--model", outline, "--max-length", "64", "--steps", "5"]);
  for (const [part, size] of Object.entries(bytes))
    assert.ok(Math.abs(size - (found[part] ?? 0)) <= 1e-3 * size, `${part}: ${size} and ${found[part]}`);
  assert.match(command, /^npx graft train --data FILE --output \S+ --model .+--steps 5$/);
  assert.ok(command.includes(` ${shellWords(["--model", outline])} `), command);
  const { stderr } = await run("plan", "--model", outline);
  assert.match(stderr, /^Without data, every row is assumed to have 512 tokens$/m);
  rmSync(join(outline, "tokenizer.json"));
  const { bytes: bare } = await planOf(["--model", outline, "--max-length", "64"]);
  assert.ok(Math.abs((bare["process"] ?? 0) - (bytes["process"] ?? 0)) < 1e6);
  for (const [words, message] of [
    [["plan", "--model", outline, "--max-length", "9999"], /usage\/flag.*the model has 512 positions/],
    [
      ["plan", "--model", outline, "--objective", "classification"],
      /usage\/flag.*neither classes nor data are given/,
    ],
    [
      ["train", "--model", outline, "--data", data, "--output", join(folder, "none")],
      /format\/file.*no weights/,
    ],
  ] as const) {
    const refused = await run(...words);
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, message);
  }
});

test("a size chooses what fits, and never changes what is given", async () => {
  const { bytes } = await plan("--batch-size", "4");
  const tight = sizeFor((bytes["peak"] ?? 0) - 20e3);
  const chosen = await plan("--memory", tight);
  assert.ok(Object.keys(chosen.chosen).length > 0);
  assert.ok((chosen.bytes["peak"] ?? Infinity) < (bytes["peak"] ?? 0));
  assert.ok(!chosen.command.includes("--memory"));
  assert.match(chosen.command, / --gradient-checkpointing (on|keep-attention|off)/);
  const given = [
    "--batch-size",
    "4",
    "--weights",
    "stored",
    "--gradient-checkpointing",
    "off",
    "--compute",
    "f32",
  ];
  const { status, stderr } = await run("plan", ...SETTINGS, ...given, "--memory", tight);
  assert.equal(status, 1);
  assert.match(stderr, /capacity\/memory/);
  assert.match(stderr, refusalOf(bytes["peak"], tight));
  assert.match(stderr, /Give --(gradient-checkpointing (keep-attention|on)|batch-size|weights|compute)/);
});

test("a configuration of a model for images is enough as well", async () => {
  const whole = await writeTinyModel(join(folder, "vit"), { modelType: "vit" });
  const outline = join(folder, "vit-outline");
  mkdirSync(outline);
  cpSync(join(whole, "config.json"), join(outline, "config.json"));
  const { bytes } = await planOf(["--model", outline]);
  assert.deepEqual(bytes, (await planOf(["--model", whole])).bytes);
  const { stderr } = await run("plan", "--model", outline);
  assert.match(stderr, /^Without data, every row is assumed to have an image$/m);
  assert.match(
    (await run("plan", "--model", outline, "--packing")).stderr,
    /usage\/flag.*Cannot pack images/,
  );
});

test("the size that a refusal names is enough", async () => {
  const { status, stderr } = await run("plan", ...SETTINGS, "--memory", "100MB");
  assert.equal(status, 1);
  const [, least = ""] = /hint: Give --memory (\d+MB)/.exec(stderr) ?? [];
  assert.ok((await plan("--memory", least)).bytes["peak"]! > 0);
});

test("attention of fewer queries at a time takes less memory for the same losses, and is chosen where that is enough", async () => {
  const text = join(folder, "text.txt");
  writeFileSync(text, "Rain fell on the hills. ".repeat(60));
  const row = [
    "--data",
    text,
    "--max-length",
    "640",
    "--batch-size",
    "1",
    "--gradient-accumulation-steps",
    "1",
  ];
  const long = await writeTinyModel(join(folder, "long"), { config: { max_position_embeddings: 640 } });
  const given = [
    "--model",
    long,
    "--threads",
    "1",
    "--steps",
    "2",
    ...row,
    "--gradient-checkpointing",
    "on",
    "--weights",
    "stored",
    "--compute",
    "f32",
  ];
  const { bytes } = await planOf(given);
  const fewer = await planOf([...given, "--attention-chunk", "64"]);
  const saved = (bytes["peak"] ?? 0) - (fewer.bytes["peak"] ?? 0);
  assert.ok(saved > 0, `${saved} bytes saved`);
  const tight = sizeFor(fewer.bytes["peak"] ?? 0);
  const { chosen } = await planOf([...given, "--memory", tight]);
  assert.deepEqual(chosen, { "attention-chunk": 64 });

  const losses = [];
  for (const own of [[], ["--attention-chunk", "64"]]) {
    const output = join(folder, `chunks-${own.length}`);
    const words = ["train", ...given, ...own, "--output", output, "--json"];
    const { stdout, stderr, status } = await run(...words);
    assert.equal(status, 0, stderr);
    const events = jsonLines<{ event: string; loss: number }>(stdout);
    losses.push(events.filter(({ event }) => event === "step").map(({ loss }) => loss));
  }
  assert.equal(losses[0]?.length, 2);
  for (const [i, loss] of (losses[0] ?? []).entries())
    assert.ok(Math.abs((losses[1]?.[i] ?? Infinity) / loss - 1) < 1e-6, JSON.stringify(losses));
});

test("a run keeps what was chosen for it, and goes on with it; too little is refused with nothing written", async () => {
  const output = join(folder, "run");
  const { bytes } = await plan();
  const tight = sizeFor((bytes["peak"] ?? 0) - 20e3);
  const words = ["train", ...SETTINGS, "--output", output, "--memory", tight];
  const first = await run(...words);
  assert.equal(first.status, 0, first.stderr);
  const told = /Memory: about [\d,]+ MB of [\d,]+ MB, chosen (--.*)/.exec(first.stderr)?.[1] ?? "";
  const settings = readFileSync(join(output, "config.yaml"), "utf8");
  assert.match(told, /^--/);
  for (const [, flag = "", value = ""] of told.matchAll(/--([\w-]+) (\S+)/g)) {
    const key = flag.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    assert.match(settings, new RegExp(`^${key}: "?${value}"?$`, "m"));
  }
  const plain = words.slice(0, -2);
  const resumed = (given: readonly string[], steps: string): ReturnType<typeof run> =>
    run(...given.map((word) => (word === "2" ? steps : word)), "--resume");
  // Without the size too, and once more: it stays that of the run.
  for (const [i, given] of [words, plain, plain].entries()) {
    const more = await resumed(given, String(3 + i));
    assert.equal(more.status, 0, more.stderr);
  }
  const free = ["train", ...SETTINGS, "--output", join(folder, "free")];
  const begun = await run(...free);
  assert.equal(begun.status, 0, begun.stderr);
  const within = await resumed([...free, "--memory", "2GB"], "3");
  assert.equal(within.status, 0, within.stderr);
  const refused = await run("train", ...SETTINGS, "--output", join(folder, "none"), "--memory", "1MB");
  assert.equal(refused.status, 1);
  assert.match(
    refused.stderr,
    /Cannot train with this plan: it needs about [\d,]+ MB and [\d,]+ MB as a reserve, expected at most --memory 1MB$/m,
  );
  assert.throws(() => readFileSync(join(folder, "none", "config.yaml")), /ENOENT/);
});

describe("what a run refuses before it begins, a plan refuses in the same words", () => {
  const classes = ["--objective", "classification", "--num-classes", "2"];
  const labelled = join(folder, "labelled.jsonl");
  writeFileSync(labelled, '{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n');
  const noPrompts = join(folder, "none.txt");
  const refusals: readonly (readonly [what: string, words: readonly string[], found: RegExp])[] = [
    [
      "DropBP that would leave nothing to train in any step",
      ["--dropbp", "0.9"],
      /Cannot drop 0\.9 of the backward pass: that would drop all 4 branches in every step/,
    ],
    [
      "DropBP where no branch is trained",
      ["--method", "trainable-tokens", "--trainable-token-indices", "5", "--dropbp", "0.4"],
      /Cannot drop branches of the backward pass: none of them has a trained parameter/,
    ],
    [
      "a new head that the method does not train",
      ["--method", "bitfit", ...classes],
      /Cannot train a new classification head with method "bitfit": it does not train score\.weight/,
    ],
    [
      "turns that are chosen where none are",
      ["--objective", "dpo", "--train-on", "last-assistant"],
      /Cannot use --train-on last-assistant with objective "dpo"/,
    ],
    ["samples without prompts", ["--samples", noPrompts], /Cannot write samples: ".*" contains no prompts/],
    [
      "samples of a model that tells classes",
      ["--samples", data, ...classes],
      /Cannot write samples: the model is for sequence-classification, .*\nhint: Leave --samples out\.$/m,
    ],
  ];
  writeFileSync(noPrompts, "\n");
  for (const [what, words, found] of refusals) {
    test(what, async () => {
      const rows = words.includes("classification") ? labelled : data;
      const given = [...SHORT, "--data", rows, "--output", join(folder, "refused"), ...words];
      const [planned, trained] = await Promise.all(
        ["plan", "train"].map((command) => run(command, ...given)),
      );
      assert.equal(planned?.status, 2, planned?.stdout);
      assert.match(planned.stderr, found);
      assert.equal(planned.stderr, trained?.stderr);
    });
  }
});
