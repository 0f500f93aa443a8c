/** @file Adapters whose modules peft calls otherwise than graft: of models with parts that are not read here, and without a head. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  loadModel,
  readAdapter,
  readAdapterFolder,
  writeAdapter,
  writeAdapterFolder,
} from "../../src/format/by-path.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { makesModel } from "../../src/peft/method.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { adapterFiles } from "../../src/format/adapters/adapter.ts";
import { writeFolderAtomic } from "../../src/format/files/atomic.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { relativeDifference } from "../golden/golden-files.ts";
import { attachTo, logitsOf, perturb, randomExamples, unpacked } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { readJson } from "../files/read-json.ts";

const engine = createEngine({ threads: 1 });
const folder = temporaryFolder();
const { base, checkpoint } = await openUntilEnd(
  await writeTinyModel(`${folder}/gemma3`, { modelType: "gemma3" }),
);
const origin = { base, checkpoint, chatTemplateHash: null };

/** What the method has of each site: scales, ranks. */
const scalesOf = ({ sites }: Adapter) => [...sites].map(([path, { options }]) => [path, options]);

describe("Gemma 3 that reads images too", () => {
  test("an adapter is saved under the paths of transformers' class, and read back", async () => {
    for (const [method, options] of [
      ["lora", { rank: 4, rankPattern: { "model.layers.0.self_attn.q_proj": 2 }, modulesToSave: ["norm"] }],
      ["ia3", {}],
    ] as const) {
      const adapter = await attachTo(base, findMethod(method), options);
      perturb(adapter, 0.1);
      await writeAdapter(`${folder}/${method}`, adapter, origin);
      const { config, tensors } = await readAdapterFolder(`${folder}/${method}`);
      const names = [...tensors.keys(), ...(config["target_modules"] as string[])];
      assert.ok(
        names.every((name) => name.includes("model.language_model.")),
        names.join(),
      );
      if (method === "lora")
        assert.deepEqual(config["rank_pattern"], { "model.language_model.layers.0.self_attn.q_proj": 2 });
      const { adapter: again } = await readAdapter(`${folder}/${method}`, base);
      assert.deepEqual(valuesOf(again), valuesOf(adapter));
    }
  });

  test("rows of single tokens are those of transformers' class too, beside an adapter or alone", async () => {
    const tokens = { "model.embed_tokens": [3, 17] };
    const embedding = "model.language_model.embed_tokens";
    for (const [modules, config] of [
      [["q_proj"], { peft_type: "LORA", trainable_token_indices: { [embedding]: [3, 17] } }],
      [[], { peft_type: "TRAINABLE_TOKENS", token_indices: [3, 17], target_modules: embedding }],
    ] as const) {
      const path = `${folder}/rows-${config.peft_type}`;
      const adapter = await attachTo(base, findMethod("lora"), { trainableTokenIndices: tokens }, modules);
      perturb(adapter, 0.1);
      await writeAdapter(path, adapter, origin);
      const written = readJson(`${path}/adapter_config.json`);
      assert.deepEqual({ ...written, ...config }, written);
      const { adapter: again } = await readAdapter(path, base);
      assert.deepEqual(valuesOf(again), valuesOf(adapter));
    }
  });

  test("an expression of peft's paths is read, and what it has on the vision tower is passed over", async () => {
    const adapter = await attachTo(base, findMethod("lora"), { rank: 4 }, ["q_proj", "v_proj"]);
    perturb(adapter, 0.1);
    await writeAdapter(`${folder}/plain`, adapter, origin);
    const { config, tensors } = await readAdapterFolder(`${folder}/plain`);
    const vision = "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.lora_A.weight";
    await writeAdapterFolder(`${folder}/of-peft`, {
      config: { ...config, target_modules: ".*model.*\\.(q|v)_proj", exclude_modules: ".*multi_modal.*" },
      tensors: [...tensors, [vision, hostTensor("float32", [4, 8], new Float32Array(32))]],
      metadata: {},
    });
    const { adapter: again } = await readAdapter(`${folder}/of-peft`, base);
    assert.deepEqual(valuesOf(again), valuesOf(adapter));
  });
});

describe("patterns of a file are expressions for peft's paths, which need not be those of graft", () => {
  const PATTERN = ".*language_model\\.layers\\.1\\..*";
  test("expressions for a part that graft has not are read, and written by the paths that they mean", async () => {
    const options = { rank: 2, alphaPattern: { "layers.1.self_attn.q_proj": 64 } };
    const adapter = await attachTo(base, findMethod("lora"), options, ["q_proj"]);
    perturb(adapter, 0.1);
    await writeAdapter(`${folder}/patterns`, adapter, origin);
    const { config, tensors } = await readAdapterFolder(`${folder}/patterns`);
    const escaped = "model\\.language_model\\.layers\\.1\\.self_attn\\.q_proj";
    for (const key of [PATTERN, escaped, "(?P<part>language_model)\\.l.{,5}s[.][^]0]..*\\Z"]) {
      await writeAdapterFolder(`${folder}/patterns`, {
        config: { ...config, alpha_pattern: { [key]: 64 } },
        tensors,
      });
      const { adapter: again } = await readAdapter(`${folder}/patterns`, base);
      assert.deepEqual(scalesOf(again), scalesOf(adapter), key);
      await writeAdapter(`${folder}/patterns-again`, again, origin);
      const written = (await readAdapterFolder(`${folder}/patterns-again`)).config;
      assert.deepEqual(written["alpha_pattern"], {
        "model.language_model.layers.1.self_attn.q_proj": 64,
      });
    }
  });

  test("those of a model without its head, of ranks and of feed-forward modules", async () => {
    const modelType = "qwen3_moe";
    const whole = await openUntilEnd(await writeTinyModel(`${folder}/whole-model`, { modelType }));
    const stacks = { rank: 2, targetParameters: ["gate_up_proj"] };
    for (const [index, [method, options, changes]] of (
      [
        [
          "lora",
          { ...stacks, alphaPattern: { "model.layers.1.mlp.experts.gate_up_proj": 64 } },
          { alpha_pattern: { "^layers\\.1\\.mlp.*": 64 } },
        ],
        [
          "lora",
          { rank: 2, rankPattern: { "layers.1.self_attn.q_proj": 3 } },
          { rank_pattern: { "^layers\\.1\\..*": 3 } },
        ],
        [
          "ia3",
          { feedforwardModules: ["layers.1.self_attn.q_proj"] },
          { feedforward_modules: "^layers\\.1\\..*" },
        ],
      ] as const
    ).entries()) {
      const adapter = await attachTo(whole.base, findMethod(method), options, ["q_proj"]);
      perturb(adapter, 0.1);
      const path = `${folder}/headless-${index}`;
      await writeAdapter(path, adapter, { ...whole, chatTemplateHash: null });
      const { config, tensors } = await readAdapterFolder(path);
      const bare = [...tensors].map(
        ([name, tensor]) => [name.replace(".model.model.", ".model."), tensor] as const,
      );
      await writeAdapterFolder(path, {
        config: { ...config, target_modules: ["q_proj"], ...changes },
        tensors: bare,
      });
      const { adapter: again } = await readAdapter(path, whole.base);
      assert.deepEqual(valuesOf(again), valuesOf(adapter));
      assert.deepEqual(scalesOf(again), scalesOf(adapter));
    }
  });

  test("a key that means none of the adapted modules is told of", async () => {
    const own = await openUntilEnd(await writeTinyModel(`${folder}/idle`));
    const adapter = await attachTo(own.base, findMethod("lora"), { rank: 2 }, ["q_proj"]);
    await writeAdapter(`${folder}/idle-keys`, adapter, { ...own, chatTemplateHash: null });
    const { config, tensors } = await readAdapterFolder(`${folder}/idle-keys`);
    const alpha_pattern = { "layers.0.self_attn.q_proj": 3, "language_model.*": 5 };
    await writeAdapterFolder(`${folder}/idle-keys`, { config: { ...config, alpha_pattern }, tensors });
    await readAdapter(`${folder}/idle-keys`, own.base);
    const notes = own.base.takeNotes().filter((note) => note.includes("alpha_pattern"));
    assert.equal(notes.length, 1);
    assert.match(notes[0]!, /"language_model\.\*" in alpha_pattern matches none of its modules/);
  });
});

test("modules of the text part that are trained whole are named so that peft means no module of the vision tower", async () => {
  const adapter = await attachTo(base, findMethod("lora"), { rank: 2, modulesToSave: ["v_proj"] }, [
    "q_proj",
  ]);
  await writeAdapter(`${folder}/whole`, adapter, origin);
  const { config } = await readAdapterFolder(`${folder}/whole`);
  assert.deepEqual(
    config["modules_to_save"],
    [0, 1].map((layer) => `model.language_model.layers.${layer}.self_attn.v_proj`),
  );
  const { adapter: again } = await readAdapter(`${folder}/whole`, base);
  assert.deepEqual(valuesOf(again), valuesOf(adapter));
});

for (const method of ["lora", "full"]) {
  test(`what is made of its text part by ${method} is a folder of a model for text`, async () => {
    const adapter = await attachTo(base, findMethod(method));
    perturb(adapter, 0.1);
    const path = `${folder}/text-${method}`;
    if (!makesModel(adapter.method))
      await writeMergedModel({ engine, base, checkpoint, adapter, path, to: "hf", kind: null });
    else await writeFolderAtomic(path, adapterFiles(adapter, origin));
    const text = await loadModel(path);
    const { model_type, architectures } = text.checkpoint.config;
    assert.deepEqual([model_type, architectures], ["gemma3_text", ["Gemma3ForCausalLM"]]);
    const batch = unpacked(randomExamples([9]));
    const [merged, expected] = [
      await logitsOf(engine, text.base, null, batch),
      await logitsOf(engine, base, adapter, batch),
    ];
    assert.ok(relativeDifference(merged, expected) < 1e-5);
    await text.checkpoint.close();
  });
}

test("an adapter of a Vision Transformer has the names of transformers' class, and one with those of files is read", async () => {
  const vit = await loadModel(await writeTinyModel(`${folder}/vit`, { modelType: "vit" }));
  const ranks = { query: 2, "attention.output.dense": 3, "output.dense": 5 };
  const adapter = await attachTo(vit.base, findMethod("lora"), { rank: 4, rankPattern: ranks });
  perturb(adapter, 0.1);
  await writeAdapter(`${folder}/new`, adapter, { ...origin, ...vit });
  const { config, tensors } = await readAdapterFolder(`${folder}/new`);
  const rankOf = { q_proj: 2, k_proj: 4, v_proj: 4, o_proj: 3, fc1: 4, fc2: 5 };
  const inClass = [0, 1].flatMap((layer) =>
    Object.entries(rankOf).map(
      ([name, rank]) =>
        [`vit.layers.${layer}.${/fc/.test(name) ? "mlp" : "attention"}.${name}`, rank] as const,
    ),
  );
  assert.deepEqual(
    (config["target_modules"] as string[]).toSorted(),
    inClass.map(([path]) => path).toSorted(),
  );
  assert.deepEqual(config["rank_pattern"], Object.fromEntries(inClass.filter(([, rank]) => rank !== 4)));
  const { adapter: again } = await readAdapter(`${folder}/new`, vit.base);
  assert.deepEqual(valuesOf(again), valuesOf(adapter));

  const earlier = (name: string): string =>
    name
      .replace("vit.layers.", "vit.encoder.layer.")
      .replace("q_proj", "attention.query")
      .replace("k_proj", "attention.key")
      .replace("v_proj", "attention.value")
      .replace("o_proj", "output.dense")
      .replace("mlp.fc1", "intermediate.dense")
      .replace("mlp.fc2", "output.dense");
  await writeAdapterFolder(`${folder}/earlier`, {
    config: { ...config, target_modules: ["query", "key", "value", "dense"], rank_pattern: ranks },
    tensors: [...tensors].map(([name, tensor]) => [earlier(name), tensor] as const),
    metadata: {},
  });
  const { adapter: ofEarlier } = await readAdapter(`${folder}/earlier`, vit.base);
  assert.deepEqual(valuesOf(ofEarlier), valuesOf(adapter));

  const both = [...tensors].flatMap(([name, tensor]) => [
    [name, tensor] as const,
    [earlier(name), tensor] as const,
  ]);
  await writeAdapterFolder(`${folder}/both`, { config, tensors: both, metadata: {} });
  await assert.rejects(readAdapter(`${folder}/both`, vit.base), {
    code: "format/tensor",
    message: /"[^"]*both": .*lora_A.* also occurs under another name, expected it once/,
  });
  await vit.checkpoint.close();
});

test("an adapter of a model without its head is read", async () => {
  const llama = await loadModel(await writeTinyModel(`${folder}/llama`));
  const adapter = await attachTo(llama.base, findMethod("lora"), { rank: 2 }, ["q_proj"]);
  perturb(adapter, 0.1);
  await writeAdapter(`${folder}/headless`, adapter, { ...origin, ...llama });
  const { config, tensors } = await readAdapterFolder(`${folder}/headless`);
  const bare = [...tensors].map(
    ([name, tensor]) => [name.replace(".model.model.", ".model."), tensor] as const,
  );
  // peft passes over a head that is not there.
  const withHead = { ...config, modules_to_save: ["lm_head"] };
  await writeAdapterFolder(`${folder}/headless`, { config: withHead, tensors: bare, metadata: {} });
  const { adapter: again } = await readAdapter(`${folder}/headless`, llama.base);
  assert.deepEqual(valuesOf(again), valuesOf(adapter));
  await llama.checkpoint.close();
});

test("a name that also means a module that is trained whole is meant for the others, as in peft", async () => {
  const roberta = await loadModel(await writeTinyModel(`${folder}/roberta`, { modelType: "roberta" }));
  const options = { rank: 2, modulesToSave: ["classifier"] };
  const adapter = await attachTo(roberta.base, findMethod("lora"), options, ["query", "dense"]);
  assert.ok(adapter.sites.has("roberta.encoder.layer.0.output.dense"));
  assert.ok(!adapter.sites.has("classifier.dense"));
  perturb(adapter, 0.1);
  await writeAdapter(`${folder}/dense`, adapter, { ...origin, ...roberta });
  const { config, tensors } = await readAdapterFolder(`${folder}/dense`);
  // In peft a list may name what is trained whole.
  const target_modules = ["query", "dense", "classifier"];
  await writeAdapterFolder(`${folder}/dense`, {
    config: { ...config, target_modules },
    tensors,
    metadata: {},
  });
  const { adapter: again } = await readAdapter(`${folder}/dense`, roberta.base);
  assert.deepEqual(valuesOf(again), valuesOf(adapter));
  await roberta.checkpoint.close();
});

test("biases of a head that peft saves once more, and names among the targets that are in the head alone, are passed over", async () => {
  const roberta = await openUntilEnd(await writeTinyModel(`${folder}/roberta`, { modelType: "roberta" }));
  const adapter = await attachTo(roberta.base, findMethod("lora"), { rank: 2, bias: "all" });
  perturb(adapter, 0.1);
  await writeAdapter(`${folder}/classes`, adapter, { ...roberta, chatTemplateHash: null });
  const { config, tensors } = await readAdapterFolder(`${folder}/classes`);
  const head = "base_model.model.classifier.";
  const again = ["modules_to_save.default.", "original_module."].map(
    (wrapper) => [`${head}${wrapper}out_proj.bias`, tensors.get(`${head}out_proj.bias`)!] as const,
  );
  await writeAdapterFolder(`${folder}/classes-of-peft`, {
    // What "all-linear" becomes in a file of peft.
    config: { ...config, target_modules: ["query", "key", "value", "dense", "out_proj"] },
    tensors: [...tensors, ...again],
    metadata: {},
  });
  const { adapter: read } = await readAdapter(`${folder}/classes-of-peft`, roberta.base);
  assert.deepEqual(valuesOf(read), valuesOf(adapter));
});

test("a head that transformers' class calls otherwise than files do is trained beside an adapter as in peft", async () => {
  const neox = await openUntilEnd(
    await writeTinyModel(`${folder}/neox`, {
      modelType: "gpt_neox",
      config: { tie_word_embeddings: false },
    }),
  );
  const lora = findMethod("lora");
  for (const [name, adapter] of [
    ["whole", await attachTo(neox.base, lora, { modulesToSave: ["embed_out"] }, ["query_key_value"])],
    ["adapted", await attachTo(neox.base, lora, {}, ["query_key_value", "embed_out"])],
    ["rows", await attachTo(neox.base, lora, { trainableTokenIndices: { embed_out: [3, 17] } })],
  ] as const) {
    perturb(adapter, 0.1);
    await writeAdapter(`${folder}/${name}`, adapter, { ...neox, chatTemplateHash: null });
    const { tensors } = await readAdapterFolder(`${folder}/${name}`);
    assert.ok([...tensors.keys()].some((key) => key.startsWith("base_model.model.lm_head.")));
    const { adapter: again } = await readAdapter(`${folder}/${name}`, neox.base);
    assert.deepEqual(valuesOf(again), valuesOf(adapter));
  }
});

test("names that a list has for other families are passed over, as in peft, where the file has no tensor of them", async () => {
  const phi3 = await openUntilEnd(await writeTinyModel(`${folder}/phi3`, { modelType: "phi3" }));
  const options = { modulesToSave: ["lm_head"] };
  const adapter = await attachTo(phi3.base, findMethod("lora"), options, ["o_proj", "down_proj"]);
  perturb(adapter, 0.1);
  await writeAdapter(`${folder}/llamas`, adapter, { ...phi3, chatTemplateHash: null });
  const { config, tensors } = await readAdapterFolder(`${folder}/llamas`);
  const written = async (name: string, changes: object): Promise<string> => {
    await writeAdapterFolder(`${folder}/${name}`, { config: { ...config, ...changes }, tensors });
    return `${folder}/${name}`;
  };
  const modules = ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"];
  const listed = await written("listed", { target_modules: modules });
  const { adapter: again } = await readAdapter(listed, phi3.base);
  assert.deepEqual(valuesOf(again), valuesOf(adapter));
  const saved = await written("saved", { modules_to_save: ["lm_head", "wte", "ln_f"] });
  assert.deepEqual(valuesOf((await readAdapter(saved, phi3.base)).adapter), valuesOf(adapter));
  // peft takes an empty list for none, and passes over parameters that are not there.
  const empty = { layers_to_transform: [], target_parameters: ["experts.gate_up_proj"] };
  const { adapter: unrestricted } = await readAdapter(await written("empty", empty), phi3.base);
  assert.deepEqual(valuesOf(unrestricted), valuesOf(adapter));
  const lacking = await written("lacking", { modules_to_save: ["lm_head", "norm"] });
  await assert.rejects(readAdapter(lacking, phi3.base), { code: "format/tensor", message: /missing/ });

  await assert.rejects(readAdapter(await written("none", { target_modules: ["q_proj"] }), phi3.base), {
    code: "usage/target-modules",
    message: /no module matches/,
  });
  const missing = await written("missing", { target_modules: [...modules, "gate_up_proj"] });
  await assert.rejects(readAdapter(missing, phi3.base), { code: "format/tensor", message: /missing/ });
});

test("an expression with what only Python's have is read by the modules that the file has tensors of", async () => {
  const llama = await openUntilEnd(await writeTinyModel(`${folder}/python`));
  const adapter = await attachTo(llama.base, findMethod("lora"), { rank: 2 }, ["q_proj", "down_proj"]);
  perturb(adapter, 0.1);
  await writeAdapter(`${folder}/own`, adapter, { ...llama, chatTemplateHash: null });
  const { config, tensors } = await readAdapterFolder(`${folder}/own`);
  for (const [i, changes] of [
    { target_modules: "^(model)(?!.*(lm_head|embed_tokens|visual)).*\\.(q_proj|down_proj)" },
    { target_modules: "(?P<block>.*)\\.(q_proj|down_proj)\\Z" },
    { target_modules: "(?i).*\\.(Q_PROJ|DOWN_PROJ)" },
    { target_modules: ".*_proj", exclude_modules: ".*(?<!q|n)_proj" },
  ].entries()) {
    await writeAdapterFolder(`${folder}/python-${i}`, { config: { ...config, ...changes }, tensors });
    const { adapter: again } = await readAdapter(`${folder}/python-${i}`, llama.base);
    assert.deepEqual(valuesOf(again), valuesOf(adapter));
  }
});

test("copies of embedding and head that peft was asked to save are passed over, and its key for tied ones where it changes nothing", async () => {
  for (const [name, tied] of [
    ["tied", true],
    ["own-head", false],
  ] as const) {
    const path = await writeTinyModel(`${folder}/${name}`, { config: { tie_word_embeddings: tied } });
    const { base, checkpoint } = await openUntilEnd(path);
    const origin = { base, checkpoint, chatTemplateHash: null };
    const options = { rank: 2, trainableTokenIndices: [3, 17] };
    const adapter = await attachTo(base, findMethod("lora"), options, ["q_proj"]);
    perturb(adapter, 0.1);
    await writeAdapter(`${folder}/${name}-adapter`, adapter, origin);
    const { config, tensors } = await readAdapterFolder(`${folder}/${name}-adapter`);
    const own = await base.values("model.embed_tokens.weight");
    const head = await base.values(tied ? "model.embed_tokens.weight" : "lm_head.weight");
    const write = async (embedding: typeof own): Promise<string> => {
      const all = new Map(tensors)
        .set("base_model.model.model.embed_tokens.weight", embedding)
        .set("base_model.model.lm_head.weight", head);
      await writeAdapterFolder(`${folder}/${name}-copies`, { config, tensors: all });
      return `${folder}/${name}-copies`;
    };
    const { adapter: again } = await readAdapter(await write(own), base);
    assert.deepEqual(valuesOf(again), valuesOf(adapter));
    const other = hostTensor(
      "float32",
      own.shape,
      own.data.map((value) => value + 0.1),
    );
    await assert.rejects(readAdapter(await write(other), base), {
      code: "usage/adapter",
      message: /other values of "model\.embed_tokens\.weight"/,
    });

    const tying = { config: { ...config, ensure_weight_tying: true }, tensors };
    await writeAdapterFolder(`${folder}/${name}-tying`, tying);
    const { adapter: held } = await readAdapter(`${folder}/${name}-tying`, base);
    assert.deepEqual(valuesOf(held), valuesOf(adapter));
    const whole = await attachTo(base, findMethod("lora"), { modulesToSave: ["embed_tokens"] }, ["q_proj"]);
    await writeAdapter(`${folder}/${name}-whole`, whole, origin);
    const files = await readAdapterFolder(`${folder}/${name}-whole`);
    await writeAdapterFolder(`${folder}/${name}-whole`, {
      config: { ...files.config, ensure_weight_tying: true },
      tensors: files.tensors,
    });
    const read = readAdapter(`${folder}/${name}-whole`, base);
    if (tied) await assert.rejects(read, { message: /ensure_weight_tying is true/ });
    else await read;
  }
});
