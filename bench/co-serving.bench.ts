/** @file What do a training and texts on one base cost each other, by each way to share the machine, against one after the other? */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type ServingModel, openServingModel } from "../src/engine/serving-model.ts";
import type { ServeEnd } from "../src/engine/serve-request.ts";
import { TURN_POLICIES, type TurnPolicy } from "../src/engine/turn-policies.ts";
import { resolveModel } from "../src/hub/resolve.ts";
import { Random } from "../src/random.ts";
import { type SharedModel, train } from "../src/train/trainer.ts";
import { defineBenchmark } from "./bench.ts";
import { median, rounded } from "./statistics.ts";

/** A text that waits longer for its first step is given up: Loquetier's rule. */
const LONGEST_WAIT_MS = 6000;

interface Load {
  readonly perSecond: number;
  readonly prompt: number;
  readonly tokens: number;
}

/** What texts and training met. */
interface Outcome {
  readonly trainSeconds: number;
  readonly numTexts: number;
  readonly numServed: number;
  readonly firstTokenMs: readonly number[];
  readonly perTokenMs: readonly number[];
}

export const benchmark = defineBenchmark({
  question: "What do a training and texts on one base cost each other, against one after the other?",
  flags: {
    model: { value: "HuggingFaceTB/SmolLM2-135M-Instruct", help: "model" },
    data: { value: "examples/quickstart/train.jsonl", help: "what is trained on" },
    steps: { value: 6, help: "steps of the training" },
    batch: { value: 2, help: "examples of a step" },
    rate: { value: 1, help: "texts a second, on average" },
    prompt: { value: 32, help: "tokens of a prompt" },
    tokens: { value: 24, help: "new tokens of a text" },
    threads: { value: 0, help: "threads of an operation; 0: all processors" },
  },
  async run(values, { say }) {
    const { path } = await resolveModel(values.model);
    const threads = values.threads === 0 ? {} : { threads: values.threads };
    const folder = mkdtempSync(join(tmpdir(), "graft-bench-"));
    const load = { perSecond: values.rate, prompt: values.prompt, tokens: values.tokens };
    let numRuns = 0;
    const trainOn = async (shared: SharedModel): Promise<number> => {
      const output = join(folder, `run-${numRuns++}`);
      let stepsMs = performance.now();
      const { model, data, steps, batch: batchSize } = { ...values, model: path };
      await train(
        { model, data, output, steps, batchSize, maxLength: 256, weights: "float32", ...threads },
        {
          shared,
          onEvent: ({ event }) => {
            if (event === "start") stepsMs = performance.now();
          },
        },
      );
      return (performance.now() - stepsMs) / 1000;
    };
    const withModel = async <T>(policy: TurnPolicy, run: (model: ServingModel) => Promise<T>): Promise<T> => {
      const model = await openServingModel(path, { cacheBytes: 5e8, policy, ...threads });
      try {
        // Programs are compiled before anything is timed.
        await writeOne(model, 0, load);
        const turn = model.engine.turns.training();
        await trainOn({ session: model.engine.session, ...turn });
        turn.rest();
        return await run(model);
      } finally {
        await model.close();
      }
    };
    const both = async (model: ServingModel, isAfter: boolean): Promise<Outcome> => {
      const turn = model.engine.turns.training();
      const shared = { session: model.engine.session, betweenBlocks: isAfter ? nothing : turn.betweenBlocks };
      let isOver = false;
      const training = trainOn(shared).finally(() => {
        isOver = true;
        turn.rest();
      });
      const texts = await writeMany(model, load, () => isOver, isAfter ? training : null);
      return { ...texts, trainSeconds: await training };
    };
    try {
      say("training alone");
      const [first] = TURN_POLICIES;
      const solo = await withModel(first, (model) =>
        trainOn({ session: model.engine.session, betweenBlocks: nothing }),
      );
      const outcomes: [string, Outcome][] = [];
      for (const policy of TURN_POLICIES) {
        say(policy.name);
        outcomes.push([policy.name, await withModel(policy, (model) => both(model, false))]);
      }
      say("one after the other");
      outcomes.push(["train, then serve", await withModel(first, (model) => both(model, true))]);
      return {
        parameters: values,
        versions: {},
        table: {
          head: [
            "policy",
            "training speed against alone",
            "texts in time",
            "first token, ms (p50, p95)",
            "a token, ms (p50, p95)",
          ],
          rows: outcomes.map(([name, outcome]) => [
            name,
            `${(solo / outcome.trainSeconds).toFixed(2)}×`,
            `${outcome.numServed} of ${outcome.numTexts}`,
            percentiles(outcome.firstTokenMs),
            percentiles(outcome.perTokenMs),
          ]),
        },
        results: {
          solo_seconds: rounded(solo, 2),
          ...Object.fromEntries(
            outcomes.map(([name, outcome]) => [
              name,
              {
                training_speed: rounded(solo / outcome.trainSeconds, 2),
                attainment: rounded(outcome.numServed / outcome.numTexts, 3),
                texts: outcome.numTexts,
                first_token_ms: percentiles(outcome.firstTokenMs),
                token_ms: percentiles(outcome.perTokenMs),
              },
            ]),
          ),
        },
      };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
});

const nothing = async (): Promise<void> => {};

async function writeOne(
  model: ServingModel,
  seed: number,
  load: Load,
  signal?: AbortSignal,
): Promise<ServeEnd> {
  const { numOutputs } = model.engine.session.model;
  const promptIds = Array.from({ length: load.prompt }, (_, i) => (100 + seed * 977 + i * 7) % numOutputs);
  const texts = model.engine.write({ promptIds, maxNewTokens: load.tokens, ...(signal && { signal }) });
  for (;;) {
    const step = await texts.next();
    if (step.done) return step.value;
  }
}

/** Texts that come at random times as long as the training goes on; `before`: they run when that is done. */
async function writeMany(
  model: ServingModel,
  load: Load,
  isOver: () => boolean,
  before: Promise<unknown> | null,
): Promise<Omit<Outcome, "trainSeconds">> {
  const random = new Random(1);
  const texts: Promise<{ readonly waitMs: number; readonly end: ServeEnd }>[] = [];
  while (!isOver()) {
    const came = performance.now();
    const seed = texts.length + 1;
    const write = async (): Promise<{ waitMs: number; end: ServeEnd }> => {
      await before;
      const waitedMs = performance.now() - came;
      const end = await writeOne(model, seed, load);
      return { waitMs: waitedMs + end.queueMs, end };
    };
    texts.push(write());
    await sleep((-1000 * Math.log(1 - random.uniform())) / load.perSecond);
  }
  const done = await Promise.all(texts);
  return {
    numTexts: done.length,
    numServed: done.filter(({ waitMs }) => waitMs <= LONGEST_WAIT_MS).length,
    firstTokenMs: done.map(({ waitMs, end }) => waitMs + end.firstTokenMs - end.queueMs),
    perTokenMs: done.map(({ end }) => (end.totalMs - end.firstTokenMs) / Math.max(1, end.numNewTokens - 1)),
  };
}

function percentiles(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const high = sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))] ?? Number.NaN;
  return `${median(values).toFixed(0)}, ${high.toFixed(0)}`;
}
