/** @file LoRA and DoRA beyond the blocks' projections: starts from the weight, embedding and head, modules trained whole. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Session } from "../../src/run/session.ts";
import {
  readAdapter,
  restoreAdapter,
  readAdapterFolder,
  writeAdapterFolder,
  type LoadedModel,
} from "../../src/format/by-path.ts";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { dora } from "../../src/peft/methods/dora.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { snell } from "../../src/peft/methods/snell.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { mergedModel } from "../../src/peft/merged-model.ts";
import type { Method } from "../../src/peft/method.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import {
  attachTo,
  logitsOf,
  lossAndGradients,
  perturb,
  randomExamples,
  unpacked,
  withTensors,
} from "../passes/model-passes.ts";
import { assertSlopes } from "../reference/slopes.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, lossesOf, runTiny } from "../train/tiny-run.ts";
import { frozenOf, valuesOf } from "../passes/trained-values.ts";
import { inTurn } from "../matrix/sampled.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { largestDifference } from "../reference/differences.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();
const examples = randomExamples([9, 6, 4]);
const batch = unpacked(examples);

async function open(name: string, config: object): Promise<LoadedModel> {
  return await openUntilEnd(await writeTinyModel(`${folder}/${name}`, { config: { ...config } }));
}

const MODELS = {
  plain: await open("plain", { tie_word_embeddings: false }),
  tied: await open("tied", { tie_word_embeddings: true }),
};

function largest(values: Float32Array): number {
  return values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
}

async function moved(
  base: BaseModel,
  method: Method,
  options: object,
  modules: readonly string[],
): Promise<Adapter> {
  const adapter = await attachTo(base, method, options, modules);
  perturb(adapter, 0.05);
  return adapter;
}

async function save(adapter: Adapter, { base, checkpoint }: LoadedModel, name: string): Promise<string> {
  return await saveAdapter(`${folder}/${name}`, adapter, { base, checkpoint });
}

describe("an adapter that starts from the weight", () => {
  const model = MODELS.plain;
  const { base } = model;
  const modules = ["q_proj", "down_proj"];
  for (const [method, init] of [
    [lora, "pissa"],
    [lora, "olora"],
    [dora, "pissa"],
  ] as const) {
    const options = { rank: 3, alpha: 7, init };
    const what = `${method.name}, ${init}`;

    test(`${what}: the output starts as the base's, and every parameter has a gradient`, async () => {
      const adapter = await attachTo(base, method, options, modules);
      const expected = await logitsOf(engine, base, null, batch);
      const difference = largestDifference(await logitsOf(engine, base, adapter, batch), expected);
      assert.ok(difference <= 2e-6 * largest(expected), `logits are ${difference} apart`);
      const { gradients } = await lossAndGradients(engine, base, adapter, [batch]);
      // Both matrices learn from the first step on, unlike those that start at zero.
      for (const [name, gradient] of gradients) assert.ok(largest(gradient) > 0, name);
    });

    test(`${what}: its file is an ordinary adapter of twice the rank that computes the same bits`, async () => {
      const adapter = await moved(base, method, options, modules);
      const path = await save(adapter, model, `${method.name}-${init}`);
      const { config, tensors } = await readAdapterFolder(path);
      const { r, lora_alpha: alpha, init_lora_weights: start } = config;
      assert.deepEqual({ r, alpha, start }, { r: 6, alpha: 14, start: true });
      assert.ok([...tensors.keys()].every((name) => !/lora_[AB]0/.test(name)));
      const { adapter: read } = await readAdapter(path, base);
      assert.deepEqual(
        await logitsOf(engine, base, read, batch),
        await logitsOf(engine, base, adapter, batch),
      );
      const merged = await withTensors(base, await mergeAdapter(engine, base, adapter));
      const logits = await logitsOf(engine, merged, null, batch);
      assert.ok(largestDifference(logits, await logitsOf(engine, base, adapter, batch)) < 2e-5);
    });

    test(`${what}: a run gets its own matrices back from that file`, async () => {
      const adapter = await moved(base, method, options, modules);
      const path = await save(adapter, model, `${method.name}-${init}-again`);
      const again = await attachTo(base, method, options, modules, 99);
      for (const { data } of frozenOf(again).values()) (data as Float32Array).fill(7);
      await restoreAdapter(path, again);
      assert.deepEqual(valuesOf(again), valuesOf(adapter));
      assert.deepEqual([...frozenOf(again).keys()], [...frozenOf(adapter).keys()]);
      for (const [name, { data }] of frozenOf(again))
        assert.deepEqual(data, frozenOf(adapter).get(name)?.data, name);
    });
  }

  test("with rsLoRA and patterns the file's scales stay those of the run", async () => {
    const options = {
      rank: 2,
      alpha: 3,
      rslora: true,
      init: "olora",
      rankPattern: { down_proj: 4 },
      alphaPattern: { "layers.1.self_attn.q_proj": 5 },
    };
    const adapter = await moved(base, lora, options, modules);
    const { adapter: read } = await readAdapter(await save(adapter, model, "rslora"), base);
    const scales = (of: Adapter): number[] =>
      [...of.sites.values()].map((site) => (site.options as { scale: number }).scale);
    scales(read).forEach((scale, i) => assert.ok(Math.abs(scale / scales(adapter)[i]! - 1) < 1e-12));
    const [one, other] = [
      await logitsOf(engine, base, adapter, batch),
      await logitsOf(engine, base, read, batch),
    ];
    assert.ok(largestDifference(one, other) < 1e-5);
  });

  test("a weight that holds what is no number starts nothing", async () => {
    const name = "model.layers.1.mlp.down_proj.weight";
    const weight = await base.values(name);
    const broken = hostTensor(
      "float32",
      weight.shape,
      weight.data.map((value, i) => (i === 5 ? NaN : value)),
    );
    const damaged = await withTensors(base, new Map([[name, broken]]));
    for (const init of ["pissa", "olora"])
      await assert.rejects(() => attachTo(damaged, lora, { rank: 3, init }, modules), {
        code: "usage/flag",
        message: /"mlp\.down_proj" from its weight \(".*"\): it contains values that are NaN or infinite/,
        hint: /another init/,
      });
  });

  for (const init of ["pissa", "olora"] as const) {
    test(`a file that peft saved without converting it (${init}) stands on the base's residual`, async () => {
      const adapter = await moved(base, lora, { rank: 3, alpha: 7, init }, modules);
      const path = await save(adapter, model, `unconverted-${init}`);
      const { config } = await readAdapterFolder(path);
      const tensors = adapter.parameters.map(
        ({ name }) => [`base_model.model.${name}`, adapter.tensor(name)!] as const,
      );
      await writeAdapterFolder(`${path}-of-peft`, {
        config: { ...config, r: 3, lora_alpha: 7, init_lora_weights: init },
        tensors,
      });
      const { adapter: read } = await readAdapter(`${path}-of-peft`, base);
      assert.deepEqual(valuesOf(read), valuesOf(adapter));
      const [logits, expected] = [
        await logitsOf(engine, base, read, batch),
        await logitsOf(engine, base, adapter, batch),
      ];
      assert.ok(largestDifference(logits, expected) < 1e-4, `${largestDifference(logits, expected)}`);
    });
  }

  test("what a start has left of the head, which peft saves beside it, is no copy of another base", async () => {
    for (const [name, { base, checkpoint }] of Object.entries(MODELS)) {
      const options = { rank: 3, alpha: 7, init: "olora" };
      const adapter = await moved(base, lora, options, ["q_proj", "lm_head"]);
      const path = await save(adapter, { base, checkpoint }, `rest-${name}`);
      const { config } = await readAdapterFolder(path);
      const table = await base.values(base.model.storedName("lm_head.weight"));
      const rest = hostTensor(
        "float32",
        table.shape,
        table.data.map((value) => 0.5 * value),
      );
      await writeAdapterFolder(`${path}-of-peft`, {
        config: { ...config, r: 3, lora_alpha: 7, init_lora_weights: "olora" },
        tensors: [
          ...adapter.parameters.map(
            ({ name }) => [`base_model.model.${name}`, adapter.tensor(name)!] as const,
          ),
          ["base_model.model.lm_head.base_layer.weight", rest],
        ],
      });
      const read = readAdapter(`${path}-of-peft`, base);
      // Where the embedding is the same tensor, peft has changed it too.
      if (name === "tied") await assert.rejects(read, { code: "usage/adapter", hint: /without "lm_head"/ });
      else assert.deepEqual(valuesOf((await read).adapter), valuesOf(adapter));
    }
  });

  test("a file with such a start on an embedding, where peft makes none, is refused with a remedy", async () => {
    const adapter = await moved(base, lora, { rank: 3 }, ["q_proj", "embed_tokens"]);
    const path = await save(adapter, model, "embedding");
    const { config, tensors } = await readAdapterFolder(path);
    await writeAdapterFolder(path, { config: { ...config, init_lora_weights: "pissa" }, tensors });
    await assert.rejects(readAdapter(path, base), {
      code: "usage/flag",
      message: /"model\.embed_tokens" from its weight/,
      hint: /Train it without these settings, or merge it with the program that made it/,
    });
  });

  test("a file that says how its start was found (EVA) is read as any other", async () => {
    const adapter = await moved(base, lora, { rank: 3, alpha: 7 }, modules);
    const path = await save(adapter, model, "eva");
    const { config, tensors } = await readAdapterFolder(path);
    await writeAdapterFolder(`${path}-of-peft`, {
      config: { ...config, init_lora_weights: "eva", eva_config: { rho: 2, tau: 0.99, whiten: false } },
      tensors: [...tensors],
    });
    const { adapter: read } = await readAdapter(`${path}-of-peft`, base);
    assert.deepEqual(valuesOf(read), valuesOf(adapter));
  });

  test("a run that is stopped and resumed ends bit-equal", async () => {
    const chats = writeTinyChats(`${folder}/chats.jsonl`, 9);
    const start = { init: "pissa", learningRate: 0.01, seed: 5 } as const;
    const settings = { model: `${folder}/plain`, data: chats, ...start };
    const [whole, parts] = [`${folder}/whole`, `${folder}/parts`];
    const { events } = await runTiny({ ...settings, output: whole });
    const controller = new AbortController();
    const onEvent = (event: { event: string; step?: number }): void => {
      if (event.event === "step" && event.step === 3) controller.abort();
    };
    const stopped = runTiny({ ...settings, output: parts }, { signal: controller.signal, onEvent });
    await assert.rejects(stopped, { code: "train/stopped" });
    const resumed = await runTiny({ ...settings, output: parts, resume: true });
    assert.deepEqual(lossesOf(resumed.events), lossesOf(events).slice(3));
    const file = "adapter_model.safetensors";
    assert.ok(bytesOf(parts, file).equals(bytesOf(whole, file)));
  });
});

/** What sits outside the blocks; `changed`: tensors that merging changes there. */
const OUTER: Readonly<Record<string, { options?: object; modules: readonly string[]; changed: string[] }>> = {
  "on the embedding": { modules: ["embed_tokens", "q_proj"], changed: ["model.embed_tokens.weight"] },
  "on the head": { modules: ["lm_head", "q_proj"], changed: ["lm_head.weight"] },
  "on both": {
    modules: ["embed_tokens", "lm_head", "v_proj"],
    changed: ["model.embed_tokens.weight", "lm_head.weight"],
  },
  "beside a whole embedding": {
    options: { modulesToSave: ["embed_tokens"] },
    modules: ["q_proj"],
    changed: ["model.embed_tokens.weight"],
  },
  "beside a whole head and norms": {
    options: { modulesToSave: ["lm_head", "norm", "layers.1.input_layernorm"] },
    modules: ["q_proj"],
    changed: ["lm_head.weight", "model.norm.weight", "model.layers.1.input_layernorm.weight"],
  },
  "on the head beside a whole embedding": {
    options: { modulesToSave: ["model.embed_tokens"] },
    modules: ["lm_head"],
    changed: ["model.embed_tokens.weight", "lm_head.weight"],
  },
};

for (const [turn, [name, { options = {}, modules, changed }]] of Object.entries(OUTER).entries()) {
  for (const [modelName, model] of inTurn(Object.entries(MODELS), turn)) {
    const { base } = model;
    const isTied = base.model.ties.size > 0;
    describe(`LoRA ${name}, ${modelName} model`, () => {
      const make = (): Promise<Adapter> => moved(base, lora, { rank: 3, ...options }, modules);

      test("starts as the base, and the loss changes along the gradient of each parameter", async () => {
        const fresh = await attachTo(base, lora, { rank: 3, ...options }, modules);
        const expected = await logitsOf(engine, base, null, batch);
        assert.ok(largestDifference(await logitsOf(engine, base, fresh, batch), expected) < 1e-5);
        const adapter = await make();
        const { gradients } = await lossAndGradients(engine, base, adapter, [batch]);
        const session = new Session(engine, base);
        const evaluator = await Evaluator.create(session, adapter);
        const loss = async (): Promise<number> => (await evaluator.evaluate(examples)).loss;
        await assertSlopes(adapter.parameters, gradients, loss, 0.05);
        await session.release();
      });

      test("merges into a model that computes the same, with a head of its own where they were one", async () => {
        const adapter = await make();
        const expected = await logitsOf(engine, base, adapter, batch);
        const merged = await mergeAdapter(engine, base, adapter);
        const outer = [...merged.keys()].filter((tensor) => !tensor.includes("_proj"));
        const head = isTied && changed.includes("model.embed_tokens.weight") ? ["lm_head.weight"] : [];
        assert.deepEqual(outer.sort(), [...new Set([...changed, ...head])].sort());
        const whole = await withTensors(base, merged);
        assert.ok(largestDifference(await logitsOf(engine, whole, null, batch), expected) < 2e-5);
        const lazily = await mergedModel(engine, base, adapter);
        const logits = await logitsOf(engine, lazily.model, null, batch);
        await lazily.release();
        assert.ok(largestDifference(logits, expected) < 2e-5);
      });

      test("comes back from its file", async () => {
        const adapter = await make();
        const path = await save(adapter, model, `${modelName}-${name.replaceAll(" ", "-")}`);
        const { adapter: read } = await readAdapter(path, base);
        assert.deepEqual(valuesOf(read), valuesOf(adapter));
        assert.deepEqual([...read.sites.keys()], [...adapter.sites.keys()]);
        assert.deepEqual(
          await logitsOf(engine, base, read, batch),
          await logitsOf(engine, base, adapter, batch),
        );
      });
    });
  }
}

test("what is dropped of an adapter on the head is the same at each step, and there in evaluation", async () => {
  const { base } = MODELS.tied;
  for (const [method, dropped] of [
    [lora, { dropout: 0.5 }],
    [snell, { dropPath: 0.5 }],
  ] as const) {
    const adapter = await moved(base, method, { rank: 3, ...dropped }, ["lm_head"]);
    const at = async (step: number): Promise<number> =>
      (await lossAndGradients(engine, base, adapter, [batch], { step })).loss;
    assert.equal(await at(0), await at(0));
    assert.notEqual(await at(0), await at(1));
    const plain = await moved(base, method, { rank: 3 }, ["lm_head"]);
    assert.deepEqual(
      await logitsOf(engine, base, adapter, batch),
      await logitsOf(engine, base, plain, batch),
    );
  }
});

describe("files", () => {
  const model = MODELS.plain;
  const { base } = model;

  test("names of whole modules mean for peft what they mean here", async () => {
    // PEFT takes every module that ends with the letters: `norm` would be the layers' norms as well.
    const adapter = await attachTo(base, lora, { modulesToSave: ["norm", "lm_head"] }, ["q_proj"]);
    const path = await save(adapter, model, "norm");
    const { config, tensors } = await readAdapterFolder(path);
    assert.deepEqual(config["modules_to_save"], ["model.norm", "lm_head"]);
    assert.ok(tensors.has("base_model.model.model.norm.weight"));
    const short = await attachTo(base, lora, { modulesToSave: ["lm_head"] }, ["q_proj"]);
    const own = await readAdapterFolder(await save(short, model, "short"));
    assert.deepEqual(own.config["modules_to_save"], ["lm_head"]);
  });

  test("a file that peft wrote with `norm` brings all norms", async () => {
    const all = ["model.norm", "input_layernorm", "post_attention_layernorm"];
    const adapter = await moved(base, lora, { modulesToSave: all }, ["q_proj"]);
    const path = await save(adapter, model, "all-norms");
    const { config, tensors } = await readAdapterFolder(path);
    const ofPeft = { config: { ...config, modules_to_save: ["norm"] }, tensors };
    await writeAdapterFolder(`${path}-of-peft`, ofPeft);
    const { adapter: read } = await readAdapter(`${path}-of-peft`, base);
    assert.deepEqual(valuesOf(read), valuesOf(adapter));
  });

  test("copies of the base's matrices are passed over, others are refused", async () => {
    const adapter = await moved(base, lora, {}, ["embed_tokens"]);
    const path = await save(adapter, model, "copies");
    const { config, tensors } = await readAdapterFolder(path);
    const copy = await base.values("model.embed_tokens.weight");
    const key = "base_model.model.model.embed_tokens.base_layer.weight";
    const withCopy = async (name: string, data: Float32Array<ArrayBuffer>): Promise<string> => {
      const all = new Map(tensors).set(key, hostTensor("float32", copy.shape, data));
      await writeAdapterFolder(`${path}-${name}`, { config, tensors: all });
      return `${path}-${name}`;
    };
    // As bfloat16 would have rounded it.
    const near = copy.data.map((value, i) => value * (1 + (i % 2 === 0 ? 1 : -1) / 512));
    const { adapter: read } = await readAdapter(await withCopy("near", near), base);
    assert.deepEqual(valuesOf(read), valuesOf(adapter));
    const far = copy.data.slice();
    far.fill(0.5, 32 * 7, 32 * 8);
    const refused = await withCopy("far", far);
    await assert.rejects(() => readAdapter(refused, base), {
      code: "usage/adapter",
      message: /other values of "model\.embed_tokens\.weight"/,
      hint: /base model/,
    });
  });

  test("copies of a head's matrix and bias are passed over, and a bias that is trained is read", async () => {
    const phi = await openUntilEnd(await writeTinyModel(`${folder}/phi`, { modelType: "phi" }));
    for (const bias of ["none", "lora_only"]) {
      const adapter = await moved(phi.base, lora, { bias }, ["fc1", "lm_head"]);
      const path = await save(adapter, phi, `head-${bias}`);
      const { config, tensors } = await readAdapterFolder(path);
      const all = new Map(tensors);
      for (const part of ["weight", "bias"]) {
        const key = `base_model.model.lm_head.base_layer.${part}`;
        if (!all.has(key)) all.set(key, await phi.base.values(`lm_head.${part}`));
      }
      await writeAdapterFolder(`${path}-of-peft`, { config, tensors: all });
      const { adapter: read } = await readAdapter(`${path}-of-peft`, phi.base);
      assert.deepEqual(valuesOf(read), valuesOf(adapter));
    }
  });

  test("patterns that overlap mean the same after saving, which sorts them", async () => {
    const options = {
      rankPattern: { "layers.1.mlp.down_proj": 6, down_proj: 2 },
      alphaPattern: { "layers.0.self_attn.q_proj": 3, q_proj: 5 },
    };
    const adapter = await attachTo(base, lora, options, ["q_proj", "down_proj"]);
    const path = await save(adapter, model, "overlap");
    const { adapter: read } = await readAdapter(path, base);
    const site = (of: Adapter) => [...of.sites].map(([at, own]) => [at, own.options]);
    assert.deepEqual(site(read), site(adapter));
    const { config } = await readAdapterFolder(path);
    assert.deepEqual(config["rank_pattern"], {
      "model.layers.0.mlp.down_proj": 2,
      "model.layers.1.mlp.down_proj": 6,
    });
  });
});
