/** @file Biases beside LoRA and DoRA: those of the base, of the adapted modules or all, and one of LoRA's own. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { combineAdapters } from "../../src/export/combined/combine.ts";
import { type LoadedModel, readAdapter, readAdapterFolder } from "../../src/format/by-path.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { dora } from "../../src/peft/methods/dora.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { Session } from "../../src/run/session.ts";
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
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { largestDifference } from "../reference/differences.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const engine = createEngine({ threads: 1 });
const folder = temporaryFolder();
const examples = randomExamples([8, 5]);
const batch = unpacked(examples);

async function open(modelType: string, config: Record<string, unknown>): Promise<LoadedModel> {
  const name = `${folder}/${modelType}-${Object.keys(config).length}`;
  return await openUntilEnd(await writeTinyModel(name, { modelType, config }));
}

const BIASED = await open("llama", { attention_bias: true, mlp_bias: true });
const PLAIN = await open("llama", {});

async function save(adapter: Adapter, { base, checkpoint }: LoadedModel, name: string): Promise<string> {
  return await saveAdapter(`${folder}/${name}`, adapter, { base, checkpoint });
}

/** Ends of names, so that each kind of tensor is seen once. */
const KINDS = {
  own: "q_proj.lora_B.bias",
  adapted: "q_proj.base_layer.bias",
  other: "k_proj.bias",
};

/** Which kinds of biases a file holds. */
const CASES = [
  { method: lora, options: { loraBias: true }, kinds: ["own"] },
  { method: lora, options: { bias: "lora_only" }, kinds: ["adapted"] },
  { method: lora, options: { bias: "all" }, kinds: ["adapted", "other"] },
  {
    method: lora,
    options: { bias: "all", loraBias: true, rslora: true },
    kinds: ["own", "adapted", "other"],
  },
  { method: dora, options: { bias: "lora_only" }, kinds: ["adapted"] },
] as const;

for (const { method, options, kinds } of CASES) {
  describe(`${method.name} with ${JSON.stringify(options)}`, () => {
    const { base } = BIASED;
    const make = (): Promise<Adapter> =>
      attachTo(base, method, { rank: 3, ...options }, ["q_proj", "down_proj"]);

    test("starts as the base, and the loss changes along the gradient of each bias", async () => {
      const adapter = await make();
      const start = await logitsOf(engine, base, adapter, batch);
      assert.ok(largestDifference(start, await logitsOf(engine, base, null, batch)) < 1e-5);
      perturb(adapter, 0.05);
      const { gradients } = await lossAndGradients(engine, base, adapter, [batch]);
      const session = new Session(engine, base);
      const evaluator = await Evaluator.create(session, adapter);
      const loss = async (): Promise<number> => (await evaluator.evaluate(examples)).loss;
      // What a bias of the keys adds, the softmax takes out.
      const biases = adapter.parameters.filter(({ name }) => /(?<!k_proj)\.bias$/.test(name));
      assert.ok(biases.length >= 4);
      await assertSlopes(biases, gradients, loss, 0.05);
      await session.release();
    });

    test("its file holds them under peft's names, and gives them back", async () => {
      const adapter = await make();
      perturb(adapter, 0.05);
      const path = await save(adapter, BIASED, `saved-${method.name}-${Object.values(options).join("-")}`);
      const { config, tensors } = await readAdapterFolder(path);
      assert.equal(config["bias"], "bias" in options ? options.bias : "none");
      const held = Object.entries(KINDS).flatMap(([kind, end]) =>
        tensors.has(`base_model.model.model.layers.1.self_attn.${end}`) ? [kind] : [],
      );
      assert.deepEqual(held, kinds);
      const { adapter: read } = await readAdapter(path, base);
      assert.deepEqual(valuesOf(read), valuesOf(adapter));
    });

    test("merges into a model that computes the same", async () => {
      const adapter = await make();
      perturb(adapter, 0.05);
      const merged = await withTensors(base, await mergeAdapter(engine, base, adapter));
      const [alone, beside] = [
        await logitsOf(engine, merged, null, batch),
        await logitsOf(engine, base, adapter, batch),
      ];
      assert.ok(largestDifference(alone, beside) < 2e-5, `${largestDifference(alone, beside)} apart`);
    });

    test("cannot be combined, as in peft, and says why", async () => {
      const path = await save(
        await make(),
        BIASED,
        `added-${method.name}-${Object.values(options).join("-")}`,
      );
      await assert.rejects(combineAdapters({ expression: "2*a", adapters: { a: path } }), {
        code: "usage/combine",
        message: method === dora ? /method "dora"/ : /Cannot combine adapter ".*": .*bias/,
      });
    });
  });
}

describe("a bias of LoRA's own", () => {
  test("does not merge into a module that has none", async () => {
    const adapter = await attachTo(PLAIN.base, lora, { loraBias: true }, ["v_proj"]);
    await assert.rejects(mergeAdapter(engine, PLAIN.base, adapter), {
      code: "usage/adapter",
      message: /Cannot merge an adapter on "model\.layers\.0\.self_attn\.v_proj": it adds a bias/,
    });
  });

  test("is refused on an embedding, with other starts, and for DoRA", async () => {
    const on = (method: typeof lora, options: object, module: string): Promise<Adapter> =>
      attachTo(PLAIN.base, method, options, [module]);
    await assert.rejects(on(lora, { loraBias: true }, "embed_tokens"), {
      code: "usage/flag",
      message: /embedding/,
    });
    await assert.rejects(on(lora, { loraBias: true, init: "pissa" }, "q_proj"), {
      code: "usage/flag",
      message: /loraBias is true, expected it only with init default/,
    });
    await assert.rejects(on(dora, { loraBias: true }, "q_proj"), { code: "usage/flag", message: /loraBias/ });
  });
});
