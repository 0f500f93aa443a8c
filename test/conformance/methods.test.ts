/** @file Every fine-tuning method on a decoder and a Vision Transformer: start, gradients, freezing, merge, files, counts, dropout. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import type { z } from "zod";
import { Session } from "../../src/run/session.ts";
import { type LoadedModel, loadModel } from "../../src/format/by-path.ts";
import { FAMILIES, openModel } from "../../src/models/families.ts";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { previewAttach } from "../../src/peft/preview.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { type Method, configFileOf, makesModel } from "../../src/peft/method.ts";
import { METHODS, findMethod, findMethodOfConfig } from "../../src/peft/methods.ts";
import { numElements } from "../../src/graph/shape.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import { assertBlockGradient } from "../reference/block-reference.ts";
import {
  NEEDED_OPTIONS,
  attachTo,
  evaluatedLoss,
  examplesFor,
  fitsModel,
  logitsOf,
  lossAndGradients,
  openPasses,
  perturb,
  trainSteps,
  unpacked,
  withTensors,
} from "../passes/model-passes.ts";
import { assertReadBack } from "./read-back.ts";
import { TINY_CONFIGS, TINY_FORMS } from "../tiny/configs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { alongDirection, changeValues, setValues, valuesOf } from "../passes/trained-values.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { largestDifference } from "../reference/differences.ts";
import { saveAdapter } from "../files/save-adapter.ts";
import { inTurn, sampled } from "../matrix/sampled.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();

/** Numbers that a method trains, from the sizes of its sites and of the model's tensors, as its paper counts them. */
const FORMULAS: Readonly<Record<string, (adapter: Adapter, base: BaseModel) => number>> = {
  lora: ({ sites, options }) => {
    const { rank } = options as { rank: number };
    return sum([...sites.values()].map(({ spec }) => rank * (spec.inFeatures + spec.outFeatures)));
  },
  dora: ({ sites, options }) => {
    const { rank } = options as { rank: number };
    const numbers = [...sites.values()].map(
      ({ spec: s }) => rank * (s.inFeatures + s.outFeatures) + s.outFeatures,
    );
    return sum(numbers);
  },
  ia3: ({ sites }) =>
    sum(
      [...sites.values()].map(({ spec: s }) =>
        /(down_proj|output\.dense)$/.test(s.name) ? s.inFeatures : s.outFeatures,
      ),
    ),
  vera: ({ sites, options }) => {
    const { rank } = options as { rank: number };
    return sum([...sites.values()].map(({ spec }) => rank + spec.outFeatures));
  },
  bitfit: (_, { model }) => {
    const isTrained = new Set(["norm", "bias"]);
    return sum([...model.tensors.values()].flatMap(({ shape, role }) => (isTrained.has(role) ? shape : [])));
  },
  road: ({ sites }) => sum([...sites.values()].map(({ spec }) => spec.outFeatures)),
  "road-lora": ({ sites, options }) => {
    const { rank } = options as { rank: number };
    return sum(
      [...sites.values()].map(({ spec }) => spec.outFeatures + rank * (spec.inFeatures + spec.outFeatures)),
    );
  },
  // One scale an output, at the default group size.
  peqa: ({ sites }) => sum([...sites.values()].map(({ spec }) => spec.outFeatures)),
  snell: ({ sites, options }) => {
    const { rank, pieces } = options as { rank: number; pieces: number };
    return sum([...sites.values()].map(({ spec }) => rank * (spec.inFeatures + spec.outFeatures) + pieces));
  },
  "trainable-tokens": ({ parameters }, { model }) => {
    const tokens = NEEDED_OPTIONS["trainable-tokens"] as { trainableTokenIndices: readonly number[] };
    assert.equal(parameters.length, 1, "the embedding has rows, and a tied head those");
    return tokens.trainableTokenIndices.length * model.width;
  },
  full: (_, base) => sum([...base.model.tensors.values()].map(({ shape }) => numElements(shape))),
};

/**
 * Parameters that a part of the graph takes for constants: by definition their gradient is not the slope of the loss. The
 * check of a block holds such parts.
 */
const DETACHED: Readonly<Record<string, RegExp>> = { dora: /lora_[AB]\.weight$/ };

/**
 * Options under which the loss has no corners within the step of the check along the gradient. The check of a block steps
 * less far, and takes the defaults.
 */
const SMOOTH: Readonly<Record<string, object>> = { snell: { sparsity: 0 } };

/** Options that drop something in training. */
const DROPPING = ["dropout", "dropPath"];

/** Options with which central differences, two passes a number, end soon: 256 dimensions are VeRA's default. */
const FEW_NUMBERS: Readonly<Record<string, object>> = { vera: { rank: 16 } };

/** Numbers in an adapter file beside the trained ones; none where nothing is said. */
const ALSO_SAVED: Readonly<Record<string, (adapter: Adapter) => number>> = {
  vera: ({ sites, options }) => {
    const { rank } = options as { rank: number };
    const specs = [...sites.values()].map(({ spec }) => spec);
    const largest = (sizes: number[]): number => Math.max(...sizes);
    return rank * (largest(specs.map((s) => s.inFeatures)) + largest(specs.map((s) => s.outFeatures)));
  },
  // As in peft, a tied head has the rows of its embedding once more.
  "trainable-tokens": ({ model, numTrained }) => (model.ties.size > 0 ? numTrained : 0),
};

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}

/** Bytes of every tensor as it is kept. */
async function bytesOf(base: BaseModel): Promise<Map<string, Buffer>> {
  const bytes = new Map<string, Buffer>();
  for (const name of base.model.tensors.keys()) {
    const planes = Object.values((await base.source.stored(name)).planes);
    const copies = planes.map(({ data }) =>
      Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
    );
    bytes.set(name, Buffer.concat(copies));
  }
  return bytes;
}

/** The method on the model, moved away from its start. */
async function moved(base: BaseModel, method: Method, options: object = {}): Promise<Adapter> {
  const adapter = await attachTo(base, method, options);
  perturb(adapter, 0.05);
  return adapter;
}

/** Name of a parameter without the number of its layer. */
function kindOf(name: string): string {
  return name.replace(/\.\d+\./, ".*.");
}

/** Families that have forms, each of which is plain and something else. */
const FORMED = FAMILIES.filter(({ modelType }) => TINY_FORMS[modelType]);
/** Every method on every such family where it is plain; the other form with every fourth pair of them. */
const CASES = sampled(
  FORMED.flatMap((family, i) =>
    METHODS.flatMap((method, j) =>
      Object.entries(TINY_FORMS[family.modelType] ?? {}).map((form) => ({
        family,
        method,
        form,
        turn: i + j,
      })),
    ),
  ),
  ({ form: [name], turn }) => name === "plain" || turn % 4 === 0,
);

/** Families on which a method is tried whole where they are plain; in the sample one that it fits, in turn. */
const ON_ONE = new Map(
  METHODS.map((method, turn) => {
    const fitting = FORMED.filter(({ modelType }) =>
      fitsModel(method, openModel({ ...TINY_CONFIGS[modelType], ...TINY_FORMS[modelType]?.["plain"] })),
    );
    return [method, inTurn(fitting, turn)];
  }),
);

for (const { family, method, form } of CASES) {
  const [formName, config] = form;
  const isOnOne = formName !== "plain" || (ON_ONE.get(method) ?? []).includes(family);
  describe(`method ${method.name} on ${family.modelType}, ${formName}`, async () => {
    const { base, checkpoint }: LoadedModel = await loadModel(
      await writeTinyModel(`${folder}/${family.modelType}-${method.name}-${formName}`, {
        modelType: family.modelType,
        config,
      }),
    );
    after(() => checkpoint.close());
    if (!fitsModel(method, base.model)) {
      test("is refused: the model has no tokens", async () => {
        const code = "usage/target-modules";
        await assert.rejects(attachTo(base, method), { code, message: /no token embedding/ });
      });
      return;
    }
    const examples = examplesFor(base.model, [9, 6, 4]);
    const batch = unpacked(examples);

    test("output equals the base's at the start, or the method says why not", async () => {
      const [with_, without] = [
        await logitsOf(engine, base, await attachTo(base, method), batch),
        await logitsOf(engine, base, null, batch),
      ];
      const difference = largestDifference(with_, without);
      const isNear = difference <= 1e-6 * Math.max(1, ...without.map(Math.abs));
      const changes = method.kind === "adapter" && method.trained.initialChange !== "none";
      assert.equal(isNear, !changes, `logits are ${difference} apart`);
      const after_ = await logitsOf(engine, base, await moved(base, method), batch);
      assert.ok(largestDifference(after_, without) > 1e-3, "the parameters have no effect");
    });

    test("gradients reach each of its parameters", async () => {
      const { gradients } = await lossAndGradients(engine, base, await moved(base, method), [batch]);
      assert.ok(gradients.size > 0);
      for (const [name, gradient] of gradients) {
        assert.ok(gradient.every(Number.isFinite), name);
        assert.ok(
          gradient.some((value) => value !== 0),
          `${name} has no gradient`,
        );
      }
    });

    test("the loss changes along the gradient of each kind of parameter as the gradient says", async () => {
      const adapter = await moved(base, method, SMOOTH[method.name]);
      const { gradients } = await lossAndGradients(engine, base, adapter, [batch]);
      const session = new Session(engine, base);
      const evaluator = await Evaluator.create(session, adapter);
      const attached = adapter.parameters.filter((p) => !DETACHED[method.name]?.test(p.name));
      const kinds = new Set(attached.map((p) => kindOf(p.name)));
      const start = valuesOf(adapter);
      for (const kind of kinds) {
        const own = adapter.parameters.filter((p) => kindOf(p.name) === kind);
        const norm = Math.hypot(...own.flatMap((p) => [...(gradients.get(p.name) ?? [])]));
        // Far enough that the rounding of the loss does not matter, near enough that curvature does not.
        const step = Math.min(0.02, 5e-3 / norm);
        const lossAt = async (by: number): Promise<number> => {
          setValues(adapter, start);
          for (const { name, value } of own) {
            gradients.get(name)?.forEach((g, i) => {
              value.data[i] = value.data[i]! + (by * g) / norm;
            });
          }
          return (await evaluator.evaluate(examples)).loss;
        };
        const slope = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
        // What the softmax takes out again, as keys' biases where nothing is turned, has no gradient but rounding.
        const tolerance = norm < 1e-6 ? 2e-5 : 0.02 * norm;
        assert.ok(Math.abs(slope - norm) < tolerance, `${kind}: slope ${slope}, gradient norm ${norm}`);
      }
      await session.release();
    });

    test("gradients of a block equal central differences in float64", async () => {
      const adapter = await moved(base, method, FEW_NUMBERS[method.name]);
      await assertBlockGradient(base, adapter, 0);
    });

    if (isOnOne) {
      test("kept and recomputed activations give the same gradients", async () => {
        const adapter = await moved(base, method);
        const kept = await lossAndGradients(engine, base, adapter, [batch], { recompute: false });
        const anew = await lossAndGradients(engine, base, adapter, [batch], { recompute: true });
        assert.ok(Math.abs(kept.loss - anew.loss) < 1e-6);
        for (const [name, gradient] of kept.gradients) {
          const difference = largestDifference(gradient, anew.gradients.get(name)!);
          const size = Math.max(...gradient.map(Math.abs));
          assert.ok(difference <= 1e-5 * size, `${name} is ${difference} apart`);
        }
      });

      test("the base stays bit-equal while it trains", async () => {
        const before = await bytesOf(base);
        const adapter = await attachTo(base, method);
        const start = valuesOf(adapter);
        const how = { learningRate: 0.01, weightDecay: 0.01 };
        await trainSteps(engine, base, adapter, [batch, batch, batch], how);
        assert.notDeepEqual(valuesOf(adapter), start);
        for (const [name, bytes] of await bytesOf(base)) assert.ok(bytes.equals(before.get(name)!), name);
      });

      test("merged weights compute what the adapted model computes", async (t) => {
        if (method.kind === "adapter" && method.merge === "not-mergeable")
          return t.skip("its result is not a change of the weights");
        const adapter = await moved(base, method);
        const before = await bytesOf(base);
        const merged = await mergeAdapter(engine, base, adapter);
        for (const [name, bytes] of await bytesOf(base)) assert.ok(bytes.equals(before.get(name)!), name);
        assert.ok(merged.size > 0);
        const difference = largestDifference(
          await logitsOf(engine, await withTensors(base, merged), null, batch),
          await logitsOf(engine, base, adapter, batch),
        );
        assert.ok(difference <= 2e-5, `logits are ${difference} apart`);
      });

      test("what was saved and loaded computes bit for bit the same", async () => {
        const adapter = await moved(base, method);
        const path = `${folder}/saved-${family.modelType}-${method.name}-${formName}`;
        await assertReadBack(engine, { base, checkpoint }, { adapter, batch, path });
      });
    }

    test("it trains as many numbers as its formula says", async () => {
      const adapter = await attachTo(base, method);
      const formula = FORMULAS[method.name];
      assert.ok(formula, `Cannot count ${method.name}: add its formula to FORMULAS of this test`);
      assert.equal(adapter.numTrained, formula(adapter, base));
      const request = { method, options: NEEDED_OPTIONS[method.name] ?? {} };
      const { numTrained: count } = previewAttach(base.model, base.source, request);
      assert.equal(count, adapter.numTrained);
    });

    test("its adapter file is as long as its head and four bytes a number", async (t) => {
      const adapter = await attachTo(base, method);
      if (makesModel(adapter.method)) return t.skip("it writes a model");
      const path = `${folder}/bytes-${family.modelType}-${method.name}-${formName}`;
      await saveAdapter(path, adapter, { base, checkpoint });
      const bytes = readFileSync(`${path}/adapter_model.safetensors`);
      const headBytes = 8 + Number(bytes.readBigUInt64LE(0));
      const numbers = adapter.numTrained + (ALSO_SAVED[method.name]?.(adapter) ?? 0);
      assert.equal(bytes.length, headBytes + 4 * numbers);
    });

    // Masks know nothing of biases and heads.
    const dropping = formName === "plain" && isOnOne ? DROPPING : sampled(DROPPING, () => false);
    for (const option of dropping.filter((name) => name in (method.options as z.ZodObject).shape)) {
      const some = { ...SMOOTH[method.name], [option]: 0.5 };

      test(`what ${option} drops is the same forward and backward, differs by step, and is whole in evaluation`, async () => {
        const [adapter, plain] = [
          await moved(base, method, some),
          await moved(base, method, SMOOTH[method.name]),
        ];
        const passes = await openPasses(engine, base, adapter);
        const [first, again, second] = [
          await passes.lossAndGradients([batch], 0),
          await passes.lossAndGradients([batch], 0),
          await passes.lossAndGradients([batch], 1),
        ];
        assert.equal(first.loss, again.loss);
        assert.deepEqual(first.gradients, again.gradients);
        assert.notEqual(first.loss, second.loss);

        // Along the gradient the loss of this very step changes as the gradient says: masks were the same ones.
        const anew = await lossAndGradients(engine, base, adapter, [batch], { recompute: true });
        for (const { gradients } of [first, anew]) {
          const gradient = adapter.parameters.flatMap((p) => {
            const own = gradients.get(p.name)!;
            return [...(DETACHED[method.name]?.test(p.name) ? own.fill(0) : own)];
          });
          const { norm, moveTo } = alongDirection(adapter, gradient);
          const lossAt = async (by: number): Promise<number> => {
            moveTo(by);
            return await passes.loss(batch, 0);
          };
          const step = 5e-3 / norm;
          const slope = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
          moveTo(0);
          assert.ok(Math.abs(slope / norm - 1) < 0.02, `slope ${slope}, gradient norm ${norm}`);
        }
        assert.equal(await passes.loss(batch, 0), first.loss);
        await passes.release();

        const whole = await evaluatedLoss(engine, base, adapter, examples);
        assert.equal(whole, await evaluatedLoss(engine, base, plain, examples));
      });

      // 200 passes: one form of each family tells.
      if (formName !== "plain") continue;
      test(`${option} keeps the mean`, async () => {
        // After a small step against the gradient the loss is nearly linear in the step, so that the mean of the losses
        // is the loss of the mean.
        const [adapter, plain] = [
          await attachTo(base, method, some),
          await attachTo(base, method, SMOOTH[method.name]),
        ];
        const { gradients, loss: without } = await lossAndGradients(engine, base, plain, [batch]);
        const gradient = plain.parameters.flatMap((p) => [...gradients.get(p.name)!]);
        const norm = Math.hypot(...gradient);
        for (const each of [adapter, plain]) {
          changeValues(each, (value, i) => value - (0.05 * gradient[i]!) / norm);
        }
        const passes = await openPasses(engine, base, adapter, { seed: 4 });
        const losses: number[] = [];
        for (let step = 0; step < 200; step++) losses.push(await passes.loss(batch, step));
        await passes.release();
        const mean = sum(losses) / losses.length;
        const deviation = Math.sqrt(sum(losses.map((loss) => (loss - mean) ** 2)) / losses.length);
        const { loss } = await lossAndGradients(engine, base, plain, [batch]);
        const error = deviation / Math.sqrt(losses.length);
        assert.ok(Math.abs(mean - loss) < 4 * error, `mean ${mean} ± ${error}, expected ${loss}`);
        assert.ok(
          Math.abs(without - loss) > 12 * error,
          "the check is too weak to tell half the update from all",
        );
      });
    }

    test("unknown options and options out of range are refused", async () => {
      await assert.rejects(
        () => attachTo(base, method, { notAnOption: 1 }),
        /Cannot use options of method .*notAnOption/,
      );
    });
  });
}

describe("the list of methods", () => {
  test("names are unique, papers and types of files are well-formed", () => {
    const names = METHODS.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    for (const method of METHODS) {
      const { name, paper } = method;
      assert.match(name, /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
      assert.match(configFileOf(method)?.peftType ?? "NONE", /^[A-Z][A-Z0-9_]*$/);
      const isNumber = /^\d{4}\.\d{4,5}$/.test(paper.arxiv);
      assert.ok(
        isNumber || paper.arxiv === "none",
        `paper.arxiv of "${name}" is ${paper.arxiv}, expected YYMM.NNNNN or "none"`,
      );
      assert.ok(paper.title.length > 10);
    }
  });

  test("findMethod() and findMethodOfConfig() find each and name those there are", () => {
    for (const method of METHODS) assert.equal(findMethod(method.name), method);
    for (const method of METHODS) {
      const file = configFileOf(method);
      if (!file) continue;
      const config = { ...file.toConfig(method.options.parse({}), [], []), peft_type: file.peftType };
      assert.equal(findMethodOfConfig("a folder", config), method);
      const claiming = METHODS.filter((m) => {
        const other = configFileOf(m);
        return other?.peftType === file.peftType && other.claims(config);
      });
      assert.deepEqual(claiming, [method], "several methods claim one configuration");
    }
    const names = METHODS.map((m) => m.name).join(", ");
    assert.throws(() => findMethod("lorra"), {
      code: "usage/flag",
      message: new RegExp(`"lorra": expected one of ${names}`),
    });
    assert.throws(() => findMethodOfConfig("a folder", { peft_type: "PROMPT" }), {
      code: "usage/adapter",
      message: /"a folder".*"PROMPT".*LORA/,
    });
    assert.throws(() => findMethodOfConfig("a folder", {}), { message: /it names no type \(peft_type\)/ });
  });
});
