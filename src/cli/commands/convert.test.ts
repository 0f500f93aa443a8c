/** @file Tests of `graft convert`: adapters in the files of llama.cpp and mlx-lm, there and back. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { openGguf, openSafetensors, readAdapter, readAdapterFolder, readJson } from "../../format/by-path.ts";
import { findMethod } from "../../peft/methods.ts";
import { dequantize } from "../../quant/stored-tensor.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { widen } from "../../quant/codes/half.ts";
import { attachTo, batchFromRows, logitsOf, perturb } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { runMain, type Said } from "../../../test/process/run-main.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { saveAdapter } from "../../../test/files/save-adapter.ts";

const folder = temporaryFolder();
const engine = createEngine({ threads: 1 });
const convert = (...words: readonly string[]): Promise<Said> =>
  runMain(["convert", ...words], { GRAFT_HOME: folder });

/** A tiny model of a family with an adapter of a method, trained as far as numbers go. */
async function adapted(
  modelType: string,
  method = "lora",
  options: object = {},
  modules?: readonly string[],
) {
  const name = `${modelType}-${method}-${modules?.join("-") ?? "usual"}`;
  const model = await writeTinyModel(join(folder, `${name}-model`), { modelType });
  const { base, checkpoint } = await openUntilEnd(model);
  const adapter = await attachTo(base, findMethod(method), options, modules);
  perturb(adapter, 0.2);
  const path = join(folder, name);
  await saveAdapter(path, adapter, { base, checkpoint });
  return { model, base, path };
}

async function requireDone(said: Promise<Said>): Promise<void> {
  const { status, stderr } = await said;
  assert.equal(status, 0, stderr);
}

describe("an adapter that goes to another program and back computes the same", () => {
  const batch = batchFromRows({ input_ids: [[3, 80, 7, 200, 41]] });
  const trips: readonly (readonly [to: string, ending: string, families: readonly string[]])[] = [
    [
      "gguf",
      ".gguf",
      ["llama", "qwen3", "gemma3", "gpt2", "gpt_neox", "phi3", "smollm3", "granitemoehybrid", "falcon_h1"],
    ],
    ["mlx", "", ["llama", "qwen3", "gemma2", "phi3"]],
  ];
  for (const [to, ending, families] of trips) {
    for (const modelType of families) {
      test(`${to}, ${modelType}`, async () => {
        const options = { rank: 3, alpha: 6, rankPattern: { o_proj: 2, c_fc: 2 }, rslora: true };
        const { model, base, path } = await adapted(modelType, "lora", options);
        const [there, back] = [`${path}-${to}${ending}`, `${path}-${to}-back`];
        await requireDone(convert("--adapter", path, "--to", to, "--output", there));
        await requireDone(convert("--adapter", there, "--model", model, "--to", "peft", "--output", back));
        const logits: Float32Array[] = [];
        for (const each of [path, back]) {
          const { adapter } = await readAdapter(each, base);
          logits.push(await logitsOf(engine, base, adapter, batch));
          adapter.release();
        }
        const [own, found] = logits as [Float32Array, Float32Array];
        const furthest = Math.max(...own.map((value, i) => Math.abs(value - found[i]!)));
        assert.ok(furthest < 2e-5, `logits are ${furthest} apart`);
      });
    }
  }
});

test("a GGUF file has the rows of B as the model's file has those of the matrix, and one alpha where there is one", async () => {
  // Its head is a matrix of its own.
  const { path } = await adapted("mistral", "lora", { rank: 2, alpha: 6 }, [
    "q_proj",
    "v_proj",
    "embed_tokens",
  ]);
  const output = `${path}.gguf`;
  await requireDone(convert("--adapter", path, "--to", "gguf", "--output", output));
  const { tensors } = await readAdapterFolder(path);
  const file = await openGguf(output);
  after(() => file.close());
  const { "general.type": kind, "general.architecture": architecture, ...settings } = file.metadata;
  assert.deepEqual([kind, architecture], ["adapter", "llama"]);
  assert.deepEqual([settings["adapter.type"], settings["adapter.lora.alpha"]], ["lora", 6]);
  const inFile = async (name: string) => dequantize(await file.read(file.tensors.get(name)!));
  const inFolder = (name: string) => tensors.get(`base_model.model.model.${name}`)!.data;
  assert.deepEqual(
    await inFile("blk.1.attn_q.weight.lora_a"),
    inFolder("layers.1.self_attn.q_proj.lora_A.weight"),
  );
  assert.deepEqual(
    await inFile("blk.1.attn_v.weight.lora_b"),
    inFolder("layers.1.self_attn.v_proj.lora_B.weight"),
  );
  // Heads of 8: rows (half, j) of each become (j, half).
  const up = inFolder("layers.1.self_attn.q_proj.lora_B.weight");
  const row = (i: number): Float32Array => up.subarray(2 * i, 2 * i + 2);
  const moved = await inFile("blk.1.attn_q.weight.lora_b");
  assert.deepEqual(moved.subarray(0, 8), Float32Array.from([0, 4, 1, 5].flatMap((i) => [...row(i)])));
  assert.deepEqual(file.tensors.get("token_embd.weight.lora_a")!.shape, [259, 2]);
  assert.deepEqual(file.tensors.get("token_embd.weight.lora_b")!.shape, [32, 2]);
});

test("a head of its own goes to mlx-lm and back, by its own name", async () => {
  const { path, model } = await adapted("mistral", "lora", { rank: 2, alpha: 2 }, ["q_proj", "lm_head"]);
  await requireDone(convert("--adapter", path, "--to", "mlx", "--output", `${path}-mlx`));
  const config = await readJson(`${path}-mlx/adapter_config.json`);
  const { keys } = config["lora_parameters"] as { readonly keys: readonly string[] };
  assert.deepEqual([...keys].sort(), ["lm_head", "self_attn.q_proj"]);
  const back = `${path}-mlx-back`;
  await requireDone(convert("--adapter", `${path}-mlx`, "--model", model, "--to", "peft", "--output", back));
  const [{ tensors: own }, { tensors: found }] = [
    await readAdapterFolder(path),
    await readAdapterFolder(back),
  ];
  for (const [name, { data }] of own) assert.deepEqual(found.get(name)?.data, data, name);
});

test("a signal stops graft convert before it writes", async () => {
  const { path } = await adapted("llama", "lora", {}, ["k_proj"]);
  const output = `${path}-stopped.gguf`;
  const words = ["convert", "--adapter", path, "--to", "gguf", "--output", output];
  const { status, stderr } = await runMain(words, { GRAFT_HOME: folder }, { signal: AbortSignal.abort() });
  assert.deepEqual([status, stderr.split("\n").at(-2)], [130, "stopped"]);
  assert.equal(existsSync(output), false);
});

test("matrices that mlx-lm's class of LFM2 with experts has under other names go there by these, and back", async () => {
  const modules = ["w1", "w2", "w3"].map((name) => `layers.0.feed_forward.${name}`);
  const { model, path } = await adapted("lfm2_moe", "lora", { rank: 2 }, modules);
  await requireDone(convert("--adapter", path, "--to", "mlx", "--output", `${path}-mlx`));
  const config = await readJson(`${path}-mlx/adapter_config.json`);
  const { keys } = config["lora_parameters"] as { readonly keys: readonly string[] };
  assert.deepEqual(
    keys.toSorted(),
    ["down_proj", "gate_proj", "up_proj"].map((name) => `feed_forward.${name}`),
  );
  const back = `${path}-mlx-back`;
  await requireDone(convert("--adapter", `${path}-mlx`, "--model", model, "--to", "peft", "--output", back));
  const [own, found] = await Promise.all(
    [path, back].map((each) => openSafetensors(`${each}/adapter_model.safetensors`)),
  );
  assert.deepEqual([...found!.tensors.keys()].toSorted(), [...own!.tensors.keys()].toSorted());
  await Promise.all([own!.close(), found!.close()]);
});

test("a folder of mlx-lm has transposes, one rank and one scale", async () => {
  const options = { rank: 2, alpha: 6, rankPattern: { v_proj: 1 } };
  const { path } = await adapted("llama", "lora", options, ["q_proj", "v_proj"]);
  await requireDone(convert("--adapter", path, "--to", "mlx", "--output", `${path}-mlx`));
  const config = await readJson(`${path}-mlx/adapter_config.json`);
  assert.deepEqual(config["lora_parameters"], {
    rank: 2,
    scale: 3,
    dropout: 0,
    keys: ["self_attn.q_proj", "self_attn.v_proj"],
  });
  assert.equal(config["num_layers"], 2);
  const file = await openSafetensors(`${path}-mlx/adapters.safetensors`);
  after(() => file.close());
  const { tensors } = await readAdapterFolder(path);
  const up = tensors.get("base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight")!.data;
  const { shape, data } = widen(await file.read("model.layers.0.self_attn.v_proj.lora_b"));
  assert.deepEqual(shape, [2, 16]);
  // Its own scale is 6; the second row is of a rank that it does not have.
  assert.deepEqual(
    data.subarray(0, 16),
    up.map((value) => 2 * value),
  );
  assert.ok(data.subarray(16).every((value) => value === 0));
});

describe("what cannot be converted is refused by name, and nothing is written", () => {
  const output = join(folder, "refused");
  const refusals: Readonly<
    Record<string, readonly [modelType: string, method: string, to: string, found: RegExp]>
  > = {
    "a change that is no product": [
      "llama",
      "road",
      "mlx",
      /what road changes, expected a product of two matrices/,
    ],
    "vectors between shared matrices": ["llama", "vera", "gguf", /what vera changes/],
    "vectors between shared matrices, to the form that they are in": [
      "llama",
      "vera",
      "peft",
      /what vera changes/,
    ],
    "tensors of the base": ["llama", "bitfit", "mlx", /what bitfit changes/],
    "tensors of the base, in a folder like those of the form": [
      "llama",
      "bitfit",
      "peft",
      /what bitfit changes, .*\nhint: Merge it into its model/,
    ],
    "experts in a GGUF file": [
      "olmoe",
      "lora",
      "gguf",
      /"model\.layers\.0\.mlp\.experts\.0\.\w+", an expert/,
    ],
    "keys and values that are apart there": [
      "deepseek_v2",
      "lora",
      "gguf",
      /"model\.layers\.0\.self_attn\.kv_b_proj", which has no separate matrix in such files/,
    ],
    "gate and up that are apart there": [
      "granitemoehybrid",
      "lora",
      "mlx",
      /"model\.layers\.0\.shared_mlp\.input_linear" has another name or form/,
    ],
    "matrices with factors in them": [
      "falcon_h1",
      "lora",
      "mlx",
      /"model\.layers\.0\.\S+" has another name or form/,
    ],
    "keys and values that are in two matrices there": [
      "glm4_moe_lite",
      "lora",
      "mlx",
      /"model\.layers\.0\.self_attn\.kv_b_proj" has another name or form/,
    ],
    "modules with other names": [
      "gpt2",
      "lora",
      "mlx",
      /"transformer\.h\.0\.attn\.c_attn" has another name or form/,
    ],
    "modules that have other names there alone": [
      "nanochat",
      "lora",
      "mlx",
      /"model\.layers\.0\.self_attn\.q_proj" has another name or form/,
    ],
    "a family without GGUF files": ["bert", "lora", "gguf", /Cannot convert|no such files for family bert/],
  };
  for (const [what, [modelType, method, to, found]] of Object.entries(refusals)) {
    test(what, async () => {
      const modules = { olmoe: ["down_proj"], deepseek_v2: ["kv_b_proj"], glm4_moe_lite: ["kv_b_proj"] }[
        modelType
      ];
      const { path } = await adapted(modelType, method, {}, modules);
      const ending = to === "gguf" ? ".gguf" : "";
      const { status, stderr } = await convert("--adapter", path, "--to", to, "--output", output + ending);
      assert.equal(status, 2, stderr);
      assert.match(stderr, found);
    });
  }

  test("a head that is the embedding, as mlx", async () => {
    const { path } = await adapted("llama", "lora", {}, ["lm_head"]);
    const { status, stderr } = await convert("--adapter", path, "--to", "mlx", "--output", output);
    assert.equal(status, 2, stderr);
    assert.match(stderr, /module "lm_head" has another name or form there/);
  });

  for (const to of ["gguf", "mlx"]) {
    test(`an embedding that is the head too, as ${to}`, async () => {
      const { path } = await adapted("gemma2", "lora", {}, ["q_proj", "embed_tokens"]);
      const ending = to === "gguf" ? ".gguf" : "";
      const { status, stderr } = await convert("--adapter", path, "--to", to, "--output", output + ending);
      assert.equal(status, 2, stderr);
      assert.match(stderr, /it is on "model\.embed_tokens", which is the model's head there too/);
    });
  }

  test("an embedding that is the head too, of mlx-lm", async () => {
    const { path } = await adapted("mistral", "lora", {}, ["embed_tokens"]);
    const tied = await writeTinyModel(join(folder, "tied"));
    await requireDone(convert("--adapter", path, "--to", "mlx", "--output", `${path}-mlx`));
    const words = ["--adapter", `${path}-mlx`, "--model", tied, "--to", "peft", "--output", output];
    const { status, stderr } = await convert(...words);
    assert.equal(status, 2, stderr);
    assert.match(
      stderr,
      /factors of "model\.embed_tokens", expected none on a module that is also the model's head/,
    );
  });

  test("an adapter of another architecture, one without its model, and one that is in the form", async () => {
    const { path } = await adapted("llama", "lora", {}, ["q_proj"]);
    const other = await writeTinyModel(join(folder, "qwen2"), { modelType: "qwen2" });
    const file = `${path}-once.gguf`;
    await requireDone(convert("--adapter", path, "--to", "gguf", "--output", file));
    const cases: readonly (readonly [words: readonly string[], found: RegExp])[] = [
      [["--model", other, "--to", "peft"], /general\.architecture is "llama", expected "qwen2"/],
      [["--to", "peft"], /without its model: gguf files do not name it/],
      [["--to", "gguf"], /it is in that form/],
    ];
    for (const [words, found] of cases) {
      const { status, stderr } = await convert("--adapter", file, "--output", output, ...words);
      assert.equal(status, 2, stderr);
      assert.match(stderr, found);
    }
  });

  for (const to of ["peft", "mlx"]) {
    test(`a path that is not there, to ${to}`, async () => {
      const { model } = await adapted("llama", "lora", {}, ["q_proj"]);
      const none = join(folder, "none");
      const { status, stderr } = await convert(
        "--adapter",
        none,
        "--to",
        to,
        "--output",
        output,
        "--model",
        model,
      );
      assert.equal(status, 1, stderr);
      assert.match(stderr, /no such/);
    });
  }
});
