/** Tests of `graft combine`: what it writes, what it tells, and what it refuses before anything is written. */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { combineAdapters } from "../../export/combined/combine.ts";
import { openSafetensors, readAdapter } from "../../format/by-path.ts";
import { findMethod } from "../../peft/methods.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { writeSafetensors } from "../../../test/files/write-safetensors.ts";
import { attachTo, perturb } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { type Said, runMain } from "../../../test/process/run-main.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { saveAdapter } from "../../../test/files/save-adapter.ts";
import { readJson } from "../../../test/files/read-json.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(join(folder, "model"));
const { base, checkpoint } = await openUntilEnd(model, { name: "tiny" });

async function writeAdapter(
  name: string,
  { method = "lora", options = {}, modules = ["q_proj"], template = "1", deviation = 0.5 } = {},
): Promise<string> {
  const adapter = await attachTo(base, findMethod(method), options, modules);
  perturb(adapter, deviation, name.length);
  return await saveAdapter(join(folder, name), adapter, { base, checkpoint }, template);
}

const a = await writeAdapter("a", { options: { rank: 2 } });
const b = await writeAdapter("bb", { options: { rank: 3 } });
const c = await writeAdapter("ccc", { options: { rank: 2 }, modules: ["v_proj"], template: "2" });
const scaler = await writeAdapter("scaler", { method: "ia3", modules: ["k_proj"] });
const whole = await writeAdapter("whole", { method: "full", modules: [] });
const codesOfQ = await writeAdapter("codes-q", { method: "peqa", modules: ["q_proj"] });
const codesOfV = await writeAdapter("codes-v", { method: "peqa", modules: ["v_proj"] });

const run = (...words: readonly string[]): Promise<Said> =>
  runMain(["combine", ...words], { GRAFT_HOME: folder });

for (const [what, path] of [
  ["an adapter", a],
  ["a whole model", whole],
] as const) {
  test(`a signal stops graft combine of ${what}, and nothing is left behind`, async () => {
    const output = join(folder, "stopped");
    const words = ["combine", "0.5*x", "--adapter", `x=${path}`, "--model", model, "--output", output];
    const { status, stderr } = await runMain(words, { GRAFT_HOME: folder }, { signal: AbortSignal.abort() });
    assert.deepEqual([status, stderr], [130, "stopped\n"]);
    assert.equal(existsSync(output), false);
  });
}

test("combining adapters lets signals be heard between two modules", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  let numAsked = 0;
  signal.throwIfAborted = function throwIfAborted(this: AbortSignal): void {
    numAsked++;
    setImmediate(() => controller.abort());
    AbortSignal.prototype.throwIfAborted.call(this);
  };
  const stopped = combineAdapters({ expression: "0.5*a", adapters: { a }, type: "svd", signal });
  await assert.rejects(stopped, { name: "AbortError" });
  assert.equal(numAsked, 2);
});

function edited(name: string, from: string, edit: (config: Record<string, unknown>) => void): string {
  const path = join(folder, name);
  cpSync(from, path, { recursive: true });
  const file = join(path, "adapter_config.json");
  const config = readJson(file);
  edit(config);
  writeFileSync(file, JSON.stringify(config));
  return path;
}

test("graft combine tells of numbers that half precision cannot hold, and where they are", async () => {
  const output = join(folder, "huge");
  const { status, stderr } = await run("1e30*a", "--adapter", `a=${a}`, "--output", output);
  assert.equal(status, 0, stderr);
  assert.match(
    stderr,
    /Tensor "base_model\..*lora_[AB]\.weight" has values up to \d\.\d+e\+\d+: values above 65504 are infinite in float16/,
  );
  const sane = await run("2*a", "--adapter", `a=${a}`, "--output", join(folder, "sane"));
  assert.equal(sane.stderr, "");
});

test("graft combine writes an adapter folder and tells what it did", async () => {
  const output = join(folder, "sum");
  const words = ["0.5*a - b", "--adapter", `a=${a}`, "--adapter", `b=${b}`, "--output", output];
  const { status, stdout, stderr } = await run(...words, "--json");
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), {
    event: "done",
    output,
    expression: "0.5*a - b",
    type: "cat",
    method: "lora",
    parameters: 2 * 5 * (32 + 32),
    residual: null,
    start_cosine: null,
    warnings: [],
  });
  assert.deepEqual(readdirSync(output).sort(), [
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
  ]);
  const { adapter, chatTemplateHash } = await readAdapter(output, base);
  assert.equal(adapter.numTrained, 2 * 5 * (32 + 32));
  assert.equal(chatTemplateHash, "1");

  const again = await run(...words);
  assert.equal(again.status, 2);
  assert.match(again.stderr, /usage\/output.*it is not empty/);
});

test("graft combine --type svd tells what was cut off", async () => {
  const adapters = ["--adapter", `a=${a}`, "--adapter", `b=${b}`];
  const { status, stdout } = await run(
    "a + b",
    ...adapters,
    "--type",
    "svd",
    "--rank",
    "2",
    "--output",
    `${folder}/cut`,
  );
  assert.equal(status, 0);
  assert.match(stdout, /a \+ b by svd: 256 parameters in /);
  assert.match(
    stdout,
    /cut off: \d+\.\d % of the sum, \d+\.\d % at most \(model\.layers\.\d\.self_attn\.q_proj\)/,
  );
});

test("graft combine reads a lone minus behind --, and warns of other chat templates", async () => {
  const negated = await run("--adapter", `a=${a}`, "--output", `${folder}/negated`, "--", "-a");
  assert.equal(negated.status, 0, negated.stderr);
  const mixed = await run(
    "a + c",
    "--adapter",
    `a=${a}`,
    "--adapter",
    `c=${c}`,
    "--output",
    `${folder}/mixed`,
  );
  assert.equal(mixed.status, 0, mixed.stderr);
  assert.match(mixed.stderr, /warning: The adapters were trained with different chat templates/);
  const { adapter, chatTemplateHash } = await readAdapter(`${folder}/mixed`, base);
  assert.equal(chatTemplateHash, null);
  assert.deepEqual(adapter.targets.modules, ["q_proj", "v_proj"]);
});

test("graft combine warns when the A's of averaged adapters are far apart, with their cosine", async () => {
  const near = await writeAdapter("near", { options: { rank: 2 }, deviation: 0.01 });
  const nearer = await writeAdapter("nearer", { options: { rank: 2 }, deviation: 0.01 });
  const far = await writeAdapter("far-away", { options: { rank: 2 }, deviation: 5 });
  const combined = async (
    names: Readonly<Record<string, string>>,
    ...more: readonly string[]
  ): Promise<{
    stderr: string;
    event: { start_cosine: { adapters: string[]; value: number }; warnings: string[] };
  }> => {
    const adapters = Object.entries(names).flatMap(([name, path]) => ["--adapter", `${name}=${path}`]);
    const output = join(folder, `cosine-${more.length}-${Object.keys(names).join("-")}`);
    const { status, stdout, stderr } = await run(
      Object.keys(names).join(" + "),
      ...adapters,
      "--output",
      output,
      "--json",
      ...more,
    );
    assert.equal(status, 0, stderr);
    return { stderr, event: JSON.parse(stdout) };
  };
  const alike = await combined({ near, nearer }, "--type", "paper");
  assert.ok(alike.event.start_cosine.value > 0.9, `${alike.event.start_cosine.value}`);
  assert.equal(alike.stderr, "");

  const { stderr, event } = await combined({ near, nearer, far }, "--type", "linear");
  assert.ok(
    event.start_cosine.adapters.includes("far") && event.start_cosine.value < 0.5,
    JSON.stringify(event.start_cosine),
  );
  assert.match(
    stderr,
    /warning: The A's of "\w+" and "far" have a cosine similarity of -?0\.\d\d, .*type cat or svd/,
  );
  assert.equal(event.warnings.length, 1);

  const exact = await combined({ near, far });
  assert.equal(exact.event.start_cosine, null);
  assert.equal(exact.stderr, "");
});

test("graft combine keeps what the adapters' model is for", async () => {
  const classifier = edited("classifier", a, (config) => (config["task_type"] = "SEQ_CLS"));
  const output = join(folder, "half");
  const { status, stderr } = await run("0.5*c", "--adapter", `c=${classifier}`, "--output", output);
  assert.equal(status, 0, stderr);
  const config: unknown = JSON.parse(readFileSync(join(output, "adapter_config.json"), "utf8"));
  assert.equal((config as Record<string, unknown>)["task_type"], "SEQ_CLS");
});

test("graft combine holds adapters against --model", async () => {
  const words = ["a", "--adapter", `a=${a}`, "--model", model];
  const { status, stderr } = await run(...words, "--output", `${folder}/held`);
  assert.equal(status, 0, stderr);
});

describe("graft combine refuses, with a remedy and before it writes,", () => {
  const shallow = edited("other-base", a, (config) => (config["base_model_name_or_path"] = "huge"));
  const started = edited("pissa", a, (config) => (config["init_lora_weights"] = "pissa"));
  const wrongRank = edited("rank", a, (config) => (config["r"] = 4));
  const other = edited("tuning", a, (config) => (config["peft_type"] = "PREFIX_TUNING"));
  mkdirSync(join(folder, "full"));
  writeFileSync(join(folder, "full", "file"), "");

  for (const [what, words, says, hint] of [
    ["no adapter", ["a"], /--adapter is missing/, /--help/],
    ["a name without a folder", ["a", "--adapter", "a"], /"a", expected NAME=FOLDER/, /its own name/],
    [
      "a name twice",
      ["a", "--adapter", `a=${a}`, "--adapter", `a=${b}`],
      /the name "a" is given twice/,
      /its own name/,
    ],
    [
      "a mistyped name",
      ["first", "--adapter", `frist=${a}`],
      /Cannot find adapter "first"/,
      /Did you mean "frist"/,
    ],
    [
      "an unused adapter",
      ["a", "--adapter", `a=${a}`, "--adapter", `b=${b}`],
      /does not name adapter "b"/,
      /Leave/,
    ],
    [
      "a whole model beside an adapter",
      ["a + m", "--adapter", `a=${a}`, "--adapter", `m=${model}`],
      /Cannot combine "m" with adapters: .* is a whole model/,
      /models with models/,
    ],
    ["a lone minus", ["a -", "--adapter", `a=${a}`], /at character 4: it ends there/, /0\.6\*a/],
    [
      "other methods",
      ["a + s", "--adapter", `a=${a}`, "--adapter", `s=${scaler}`],
      /"a" and "s": they are of methods "lora" and "ia3"/,
      /one method/,
    ],
    [
      "other bases",
      ["a + o", "--adapter", `a=${a}`, "--adapter", `o=${shallow}`],
      /made for "tiny" and "huge"/,
      /adapters of one model/,
    ],
    [
      "other ranks where factors are mixed",
      ["a + b", "--type", "paper", "--adapter", `a=${a}`, "--adapter", `b=${b}`],
      /their ranks at "model\.layers\.0\.self_attn\.q_proj" are 2 and 3/,
      /type cat or svd/,
    ],
    [
      "other modules where parameters are averaged",
      ["a + c", "--type", "paper", "--adapter", `a=${a}`, "--adapter", `c=${c}`],
      /only one of them is on "model\.layers\.0\.self_attn\.q_proj"/,
      /type cat/,
    ],
    ["a rank that is not asked for", ["a", "--rank", "3", "--adapter", `a=${a}`], /with rank/, /type svd/],
    [
      "a density that is missing",
      ["a", "--type", "ties", "--adapter", `a=${a}`],
      /"ties": it has no density/,
      /--density/,
    ],
    [
      "a rank of what has none",
      ["s", "--type", "svd", "--adapter", `s=${scaler}`],
      /no rank of their own/,
      /type cat/,
    ],
    [
      "a start that the file lacks",
      ["p", "--adapter", `p=${started}`],
      /file lacks the initial values/,
      /conversion/,
    ],
    [
      "a configuration that does not fit",
      ["r", "--adapter", `r=${wrongRank}`],
      /lora_A\.weight is \[2, 32\], expected \[4, 32\]/,
      /save it again/,
    ],
    [
      "weights that float32 cannot hold",
      ["1e300*a", "--adapter", `a=${a}`],
      /"1e300\*a": tensor "base_model.*lora_[AB].weight" has -?Infinity, expected numbers that float32 can hold/,
      /smaller weights/,
    ],
    [
      "a whole model that float32 cannot hold",
      ["1e300*m", "--adapter", `m=${whole}`, "--model", model],
      /"1e\+300\*m": tensor "model\..*" has -?Infinity, expected numbers that float32 can hold/,
      /smaller weights/,
    ],
    [
      "codes of other modules",
      ["q + v", "--adapter", `q=${codesOfQ}`, "--adapter", `v=${codesOfV}`],
      /"q" and "v": they train scales of q_proj \(2 modules\) and v_proj \(2 modules\), expected the same modules/,
      /same modules/,
    ],
    ["a method that is not known", ["o", "--adapter", `o=${other}`], /type is "PREFIX_TUNING"/, null],
    ["a folder without an adapter", ["f", "--adapter", `f=${folder}/full`], /adapter_config\.json/, null],
  ] as const) {
    test(what, async () => {
      const output = join(folder, "refused");
      const { status, stdout, stderr } = await run(...words, "--output", output);
      assert.notEqual(status, 0);
      assert.equal(stdout, "");
      assert.match(stderr, says);
      if (hint) assert.match(stderr, new RegExp(`hint: .*${hint.source}`));
      assert.ok(!existsSync(output));
    });
  }

  test("an output inside of an adapter", async () => {
    const { status, stderr } = await run("a", "--adapter", `a=${a}`, "--output", join(a, "sum"));
    assert.equal(status, 2);
    assert.match(stderr, /it is inside the adapter a/);
  });
});

test("a tensor or an adapter called as what every object has is not lost", async () => {
  const odd = edited("odd", a, () => {});
  const weights = join(odd, "adapter_model.safetensors");
  const read = await openSafetensors(weights);
  const tensors = new Map<string, HostTensor>([
    ["__proto__", hostTensor("float32", [2], Float32Array.of(1, 2))],
  ]);
  for (const name of read.tensors.keys()) tensors.set(name, await read.read(name));
  await read.close();
  await writeSafetensors(weights, tensors);
  const output = join(folder, "odd-sum");
  const words = ["2*__proto__", "--adapter", `__proto__=${odd}`, "--output", output];
  const { status, stderr } = await run(...words);
  assert.equal(status, 0, stderr);
  const file = await openSafetensors(join(output, "adapter_model.safetensors"));
  assert.deepEqual((await file.read("__proto__")).data, Float32Array.of(1, 2));
  await file.close();
});
