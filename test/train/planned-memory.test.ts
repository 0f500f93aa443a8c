/** @file What is planned before any weight is read, beside what a run on the same settings lends and compiles. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { breathing } from "../../src/data/files/breath.ts";
import { setImmediate as nextTurn } from "node:timers/promises";
import { loadModel } from "../../src/format/by-path.ts";
import { COMPUTES } from "../../src/nn/computes.ts";
import { type AttachRequest, layOut } from "../../src/peft/layout.ts";
import { attach } from "../../src/peft/attach.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { outlineAdapter } from "../../src/peft/outline.ts";
import { Random } from "../../src/random.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import type { ShardDisk } from "../../src/runtime/memory/shard.ts";
import { disk } from "../../src/train/activations/disk.ts";
import { float16 } from "../../src/train/activations/float16.ts";
import { float32 } from "../../src/train/activations/float32.ts";
import type { ActivationForm } from "../../src/train/activations/keeping.ts";
import { fineTune } from "../../src/train/loop/fine-tune.ts";
import { type EvalMetric, LOSS, findEvalMetric } from "../../src/train/eval-metrics.ts";
import { findObjective } from "../../src/train/objectives.ts";
import { plannedSession } from "../../src/train/plan/passes/planned-session.ts";
import { outerBytes } from "../../src/train/plan/weight-memory.ts";
import { walkPasses } from "../../src/train/plan/run-passes.ts";
import { stepShapes } from "../../src/train/plan/run-shapes.ts";
import { planMemory } from "../../src/train/plan/run-memory.ts";
import { openRun, settleRun } from "../../src/train/files/setup/prepare.ts";
import { memoryRequest } from "../../src/train/files/setup/memory-request.ts";
import { parseTrainOptions } from "../../src/train/settings/options.ts";
import { TINY_RUN } from "./tiny-run.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { requestFor } from "./fine-tune-request.ts";
import { SENSITIVITIES, type Sensitivity } from "../../src/train/dropbp/sensitivity.ts";
import type { Recompute } from "../../src/train/recompute.ts";

const folder = temporaryFolder();

/** An engine that counts the programs of passes; those of the optimizer and of sums are the same in every run. */
function countingEngine(): { readonly engine: Engine; readonly names: string[] } {
  const inner = createEngine({ threads: 1 });
  const names: string[] = [];
  const compile: Engine["compile"] = (spec, options) => {
    if (/^(block|head|stem|vocabulary)/.test(spec.name)) names.push(spec.name);
    return inner.compile(spec, options);
  };
  return { engine: { ...inner, compile }, names };
}

interface Case {
  readonly modelType: string;
  readonly method: string;
  readonly options?: Record<string, unknown>;
  readonly recompute: Recompute;
  readonly compute?: keyof typeof COMPUTES;
  readonly activations?: ActivationForm;
  readonly numLayers?: number;
  /** Share of branches that DropBP leaves out, at one rate for all. */
  readonly dropRate?: number;
  /** Its sensitivities are measured. */
  readonly sensitivity?: Sensitivity;
  readonly numSteps?: number;
  /** What evaluations tell beside the loss. */
  readonly evalMetric?: EvalMetric;
}

/**
 * A form on a disk that is as slow as it may be, however busy the machine is: a write ends when the pass waits for it. The tensors
 * of a block are lent until then, so that a faster disk would leave memory that is planned unused.
 */
function withPatientDisk(form: ActivationForm): { readonly form: ActivationForm; readonly disk: ShardDisk } {
  const files = new Map<number, Uint8Array>();
  const writing: (() => void)[] = [];
  const disk: ShardDisk = {
    write: async (index, bytes) => {
      files.set(index, bytes.slice());
      await new Promise<void>((resolve) => writing.push(resolve));
    },
    read: async (index, into) => into.set(files.get(index)!),
  };
  const whileWriting = async <T>(work: Promise<T>): Promise<T> => {
    const waits = { isDone: false };
    const done = work.finally(() => (waits.isDone = true));
    while (!waits.isDone) {
      for (const end of writing.splice(0)) end();
      await nextTurn();
    }
    return await done;
  };
  const begin: ActivationForm["begin"] = (session) => {
    const kept = form.begin(session, disk);
    return {
      keep: (tensors) => whileWriting(kept.keep(tensors)),
      bringBack: () => whileWriting(kept.bringBack()),
      end: () => whileWriting(kept.end()),
    };
  };
  return { form: { ...form, begin }, disk };
}

const [sensitivity] = SENSITIVITIES as [Sensitivity];

const TOKEN_ACCURACY = findEvalMetric("token-accuracy", findObjective("cross-entropy"));

const CASES: readonly Case[] = [
  { modelType: "llama", method: "lora", recompute: false },
  { modelType: "llama", method: "lora", options: { dropout: 0.1 }, recompute: true },
  { modelType: "llama", method: "lora", recompute: "all-but-attention", numLayers: 4, dropRate: 0.5 },
  { modelType: "llama", method: "full", recompute: false },
  { modelType: "llama", method: "dora", recompute: false, compute: "int8" },
  { modelType: "llama", method: "lora", recompute: true, compute: "w4" },
  {
    modelType: "llama",
    method: "snell",
    options: { dropout: 0.1, dropPath: 0.1, zeroStart: true },
    recompute: false,
  },
  { modelType: "gemma3_text", method: "lora", recompute: false },
  // Layers have embeddings of their own, and read the keys of others.
  { modelType: "gemma4", method: "lora", recompute: false },
  { modelType: "gemma4", method: "full", recompute: true },
  { modelType: "gpt2", method: "bitfit", recompute: true },
  { modelType: "llama", method: "lora", options: { trainableTokenIndices: [3, 9] }, recompute: false },
  {
    modelType: "llama",
    method: "lora",
    options: { trainableTokenIndices: [3, 9] },
    recompute: true,
    compute: "int8",
  },
  {
    modelType: "llama",
    method: "lora",
    options: { trainableTokenIndices: { embed_tokens: [3, 9], lm_head: [4] } },
    recompute: false,
  },
  { modelType: "qwen3_moe", method: "ia3", recompute: false },
  { modelType: "llama", method: "lora", recompute: true, evalMetric: TOKEN_ACCURACY },
  { modelType: "llama", method: "lora", recompute: false, activations: float16, numLayers: 6 },
  { modelType: "llama", method: "lora", recompute: false, activations: disk, numLayers: 6 },
  { modelType: "llama", method: "lora", recompute: false, numLayers: 4, dropRate: 0.5, numSteps: 24 },
  {
    modelType: "llama",
    method: "lora",
    recompute: true,
    numLayers: 6,
    dropRate: 0.5,
    sensitivity,
    numSteps: 24,
  },
  {
    modelType: "llama",
    method: "full",
    recompute: false,
    numLayers: 4,
    dropRate: 0.5,
    sensitivity,
    numSteps: 24,
  },
  // Few steps by rates that nobody knows before.
  {
    modelType: "gpt_oss",
    method: "lora",
    recompute: false,
    numLayers: 4,
    dropRate: 0.5,
    sensitivity,
    numSteps: 10,
  },
  // Over before anything would be measured.
  {
    modelType: "llama",
    method: "lora",
    recompute: false,
    numLayers: 6,
    dropRate: 0.5,
    sensitivity,
    numSteps: 1,
  },
];

describe("walkPasses()", () => {
  for (const { modelType, method: name, options = {}, recompute, compute = "f32", ...each } of CASES) {
    const { activations = float32, numLayers = 2, dropRate = 0, sensitivity = null, numSteps = 3 } = each;
    const { evalMetric: metric = LOSS } = each;
    const dropBp = dropRate > 0 ? { rate: dropRate, sensitivity, length: 16 } : null;
    const how = [
      ...Object.keys(options),
      ...(recompute ? [recompute === true ? "recompute" : `recompute ${recompute}`] : []),
      ...(dropBp ? [`dropbp ${sensitivity?.name ?? "uniform"} of ${numSteps}`] : []),
      compute,
      activations.name,
      ...(metric === LOSS ? [] : [metric.name]),
    ].join(" ");
    test(`${modelType} ${name} ${how}: as much is lent as in the run, by as many programs`, async () => {
      const config = numLayers === 2 ? {} : { config: { num_hidden_layers: numLayers } };
      const path = await writeTinyModel(`${folder}/${modelType}-${numLayers}`, { modelType, ...config });
      const { base, checkpoint } = await loadModel(path);
      const residency = compute === "f32" ? "stored" : "float32";
      const method = findMethod(name);
      const request: AttachRequest = { method, options };
      const { engine, names } = countingEngine();
      const session = new Session(engine, base, residency, { compute: COMPUTES[compute] });
      const asked = requestFor(session, await attach(base, request, new Random(1)), recompute);
      const run = {
        ...asked,
        evaluation: asked.evaluation && { ...asked.evaluation, metric },
        activations: withPatientDisk(activations),
        totalSteps: numSteps,
        dropBp,
      };
      const steps = fineTune(run);
      while (!(await steps.next()).done);
      const lentBytes = session.pool.allocatedBytes;
      await session.release();
      await checkpoint.close();
      const outline = outlineAdapter(layOut(base.model, base.source, request), method);
      const {
        lentBytes: planned,
        programs,
        moved,
      } = await breathing(
        walkPasses(
          {
            model: base.model,
            objective: findObjective("cross-entropy"),
            startsFromAdapter: false,
            dropBp,
            plan: run.plan,
            totalSteps: run.totalSteps,
            numLanes: 1,
            packing: false,
            heldOut: run.evaluation?.units ?? null,
            predicts: metric.needsPredictions,
            seed: run.seed,
            activations,
            target: await engine.target(),
          },
          plannedSession({ model: base.model, kept: base.source, compute: COMPUTES[compute], residency }),
          outline,
          recompute,
        ),
      );
      // Blocks of the pool are up to an eighth larger than what is written into them.
      const share = planned / lentBytes;
      // All branches that are drawn are planned with every length, of which a run meets few.
      const most = dropBp ? 1.15 : 1.001;
      assert.ok(share <= most && share > 1 / 1.15, `${planned} planned, ${lentBytes} lent`);
      // What a short run draws by rates that are measured is some of what may be.
      if (sensitivity) assert.ok(programs.count >= names.length, names.join());
      else assert.equal(programs.count, names.length, names.join());
      const trained = [null, ...base.model.layers.keys()].flatMap((layer) => outline.trained(layer));
      if (!dropBp) assert.deepEqual(moved, new Set(trained));
    });
  }
});

test("a plan stops after each pass that it walks through", async () => {
  const data = writeTinyChats(`${folder}/chats.jsonl`, 12);
  const model = await writeTinyModel(`${folder}/stops`);
  const options = parseTrainOptions({ ...TINY_RUN, model, data, output: `${folder}/never` });
  const opened = await openRun(options);
  const request = memoryRequest(settleRun(opened));
  const { shapes } = stepShapes(request.plan, request.totalSteps, request.packing);
  const steps = planMemory(request, false);
  let numStops = 0;
  while (!steps.next().done) numStops++;
  await opened.checkpoint.close();
  assert.ok(shapes.length > 1);
  assert.equal(numStops, shapes.length);
});

describe("a plan of DropBP", () => {
  const data = writeTinyChats(`${folder}/dropped.jsonl`, 12);
  const model = writeTinyModel(`${folder}/dropped`, { config: { num_hidden_layers: 6 } });
  const planned = async (settings: object) => {
    const { rank: _rank, ...run } = TINY_RUN;
    const all = { ...run, method: "full", model: await model, data, output: `${folder}/never`, ...settings };
    const opened = await openRun(parseTrainOptions(all));
    const { parts } = await breathing(planMemory(memoryRequest(settleRun(opened)), false));
    await opened.checkpoint.close();
    return parts;
  };

  test("has the gradients that others are compared with", async () => {
    const of = async (dropbpRates: string) => (await planned({ dropbp: 0.5, dropbpRates })).activations;
    // Of the embedding and the last norm.
    assert.equal((await of("gradient")) - (await of("norm")), 4 * (259 * 32 + 32));
  });

  test("of a step has gradients and state of what the step reaches, of many steps those of all", async () => {
    const { gradients, optimizer } = await planned({ steps: 1 });
    assert.equal(optimizer, 2 * gradients);
    const one = await planned({ steps: 1, dropbp: 0.5 });
    assert.ok(one.gradients < 0.8 * gradients && one.optimizer === 2 * one.gradients);
    const many = await planned({ steps: 60, dropbp: 0.5 });
    assert.deepEqual([many.gradients, many.optimizer], [gradients, optimizer]);
    // What measures rates goes through all blocks, and nothing moves by it.
    const measured = await planned({ steps: 2, dropbp: 0.5, dropbpRates: "norm" });
    assert.equal(measured.gradients, gradients);
    assert.ok(measured.optimizer < optimizer);
  });

  test("of two lanes measures on one", async () => {
    const of = async (dataParallel: number, dropbpRates: string) =>
      (await planned({ gradientAccumulationSteps: 2, steps: 9, dropbp: 0.5, dropbpRates, dataParallel }))
        .activations;
    const uniform = await of(2, "uniform");
    assert.equal(uniform, 2 * (await of(1, "uniform")));
    const both = await of(2, "norm");
    assert.ok(both > uniform && both <= (await of(1, "norm")) + uniform / 2);
  });
});

test("what is trained outside the blocks is not counted as frozen too, under either name of a tied matrix", async () => {
  const frozenBytes: number[] = [];
  let tableBytes = 0;
  for (const tie_word_embeddings of [true, false]) {
    const path = await writeTinyModel(`${folder}/outer-${String(tie_word_embeddings)}`, {
      config: { tie_word_embeddings },
    });
    const { base, checkpoint } = await loadModel(path);
    await checkpoint.close();
    const { model, source: kept } = base;
    const session = plannedSession({ model, kept, compute: COMPUTES.f32, residency: "stored" });
    const outside = (name: string): number => {
      const method = findMethod(name);
      const request = {
        method,
        options: method.options.parse({}),
      };
      const layout = layOut(base.model, base.source, request);
      return outerBytes(session, outlineAdapter(layout, method));
    };
    assert.equal(outside("full"), 0);
    frozenBytes.push(outside("lora"));
    tableBytes = 4 * base.model.numOutputs * base.model.width;
  }
  const [tied = 0, untied = 0] = frozenBytes;
  assert.ok(tied > tableBytes);
  assert.equal(untied - tied, tableBytes, "a mapped table is in memory too");
});
