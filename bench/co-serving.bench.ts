/** @file What do a training and texts on one base cost each other, by each way to share the machine, against one after the other? */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServingModel, openServingModel } from "../src/engine/serving-model.ts";
import { DEFAULT_TARGETS, type ServiceTargets } from "../src/engine/service-targets.ts";
import {
  DEFAULT_POLICY,
  TURN_POLICIES,
  type TurnPolicyName,
  findPolicy,
} from "../src/engine/turn-policies.ts";
import type { ComputeName } from "../src/nn/computes.ts";
import { resolveModel } from "../src/hub/resolve.ts";
import { type SharedModel, train } from "../src/train/trainer.ts";
import { defineBenchmark } from "./bench.ts";
import { rounded } from "./statistics.ts";
import {
  PATTERNS,
  type TextLoad,
  type WrittenText,
  attainmentOf,
  comeUntil,
  oneAdapterAtATime,
  percentiles,
  writeText,
} from "./text-load.ts";

/** What texts and training met; null: there was none. */
interface Outcome {
  readonly trainSeconds: number | null;
  readonly texts: readonly WrittenText[];
}

const AFTER = "train, then serve";
const nothing = async (): Promise<void> => {};

export const benchmark = defineBenchmark({
  question: "What do a training and texts on one base cost each other, against one after the other?",
  flags: {
    model: { value: "HuggingFaceTB/SmolLM2-135M-Instruct", help: "model" },
    data: { value: "examples/quickstart/train.jsonl", help: "what is trained on" },
    steps: { value: 6, help: "steps of the training" },
    batch: { value: 2, help: "examples of a step" },
    pattern: { value: "random", help: `how texts come: ${Object.keys(PATTERNS).join(", ")}` },
    rate: { value: 1, help: "texts a second, on average; of phases, in the first" },
    adapters: { value: 4, help: "adapters that the texts have in turn; 0: the base alone" },
    prompt: { value: 32, help: "tokens of a prompt" },
    tokens: { value: 24, help: "new tokens of a text" },
    policies: { value: TURN_POLICIES.map(({ name }) => name).join(","), help: "policies, with commas" },
    "queue-ms": { value: DEFAULT_TARGETS.queueMs, help: "target up to the first step of a text" },
    "first-token-ms": { value: DEFAULT_TARGETS.firstTokenMs, help: "target up to its first token" },
    "token-ms": { value: DEFAULT_TARGETS.tokenMs, help: "target from one token to the next" },
    compute: { value: "f32", help: "arithmetic of the products" },
    threads: { value: 0, help: "threads of an operation; 0: all processors" },
  },
  async run(values, { say }) {
    const { path } = await resolveModel(values.model);
    const threads = values.threads === 0 ? {} : { threads: values.threads };
    const compute = values.compute as ComputeName;
    const folder = mkdtempSync(join(tmpdir(), "graft-bench-"));
    const names = Array.from({ length: values.adapters }, (_, i) => `adapter ${i}`);
    const load: TextLoad = {
      pattern: values.pattern,
      perSecond: values.rate,
      prompt: values.prompt,
      tokens: values.tokens,
      adapters: names.length > 0 ? names : [null],
    };
    const targets: ServiceTargets = {
      queueMs: values["queue-ms"],
      firstTokenMs: values["first-token-ms"],
      tokenMs: values["token-ms"],
    };
    let numRuns = 0;
    /** Trains, and tells the folder and the seconds of the steps. */
    const trainOn = async (
      shared: SharedModel,
      steps = values.steps,
    ): Promise<{ output: string; seconds: number }> => {
      const output = join(folder, `run-${numRuns++}`);
      let [firstMs, lastMs] = [0, 0];
      const { data, batch: batchSize } = values;
      await train(
        {
          model: path,
          data,
          output,
          steps,
          batchSize,
          maxLength: 256,
          weights: "float32",
          compute,
          ...threads,
        },
        {
          shared,
          onEvent: ({ event }) => {
            if (event === "start") firstMs = performance.now();
            if (event === "step") lastMs = performance.now();
          },
        },
      );
      return { output, seconds: (lastMs - firstMs) / 1000 };
    };
    const withModel = async <T>(
      name: TurnPolicyName,
      run: (model: ServingModel) => Promise<T>,
      maxLoaded = values.adapters + 1,
    ): Promise<T> => {
      const policy = findPolicy(name);
      const model = await openServingModel(path, {
        cacheBytes: 5e8,
        policy,
        targets,
        compute,
        maxLoaded,
        ...threads,
      });
      try {
        // Programs are compiled and adapters read before anything is timed.
        const turn = model.engine.turns.training();
        const { output } = await trainOn({ session: model.engine.session, ...turn }, 2).finally(turn.rest);
        for (const each of names) model.engine.adapters.register(each, output);
        for (let i = 0; i <= values.adapters; i++) await writeText(model.engine, load, 1000 + i);
        return await run(model);
      } finally {
        await model.close();
      }
    };
    const alone = (): Promise<number> =>
      withModel(DEFAULT_POLICY, async ({ engine: { session } }) =>
        trainOn({ session, betweenBlocks: nothing }).then(({ seconds }) => seconds),
      );
    try {
      say("training alone");
      const before = await alone();
      const outcomes: [string, Outcome][] = [];
      say("texts alone");
      const textsAlone = await withModel(DEFAULT_POLICY, async ({ engine }) => {
        const endMs = performance.now() + 1000 * before;
        return comeUntil(
          () => performance.now() > endMs,
          load,
          before,
          (index, cameMs) => writeText(engine, load, index, cameMs),
        );
      });
      outcomes.push(["texts alone", { trainSeconds: null, texts: textsAlone }]);
      for (const name of values.policies.split(",") as TurnPolicyName[]) {
        say(name);
        const outcome = await withModel(name, async ({ engine }) => {
          const turn = engine.turns.training();
          let isOver = false;
          const training = trainOn({ session: engine.session, ...turn }).finally(() => {
            isOver = true;
            turn.rest();
          });
          const texts = await comeUntil(
            () => isOver,
            load,
            before / 0.8,
            (index, cameMs) => writeText(engine, load, index, cameMs),
          );
          return { texts, trainSeconds: (await training).seconds };
        });
        outcomes.push([name, outcome]);
      }
      say(AFTER);
      const after = await withModel(
        DEFAULT_POLICY,
        async ({ engine }) => {
          let isOver = false;
          const training = trainOn({ session: engine.session, betweenBlocks: nothing }).finally(
            () => (isOver = true),
          );
          const texts = await comeUntil(
            () => isOver,
            load,
            before,
            oneAdapterAtATime(engine, load, training),
          );
          return { texts, trainSeconds: (await training).seconds };
        },
        1,
      );
      outcomes.push([AFTER, after]);
      say("training alone, once more");
      const solo = (before + (await alone())) / 2;
      const attained = attainmentOf(after.texts, targets);
      const speedOf = ({ trainSeconds }: Outcome): number | null =>
        trainSeconds === null ? null : rounded(solo / trainSeconds, 2);
      return {
        parameters: values,
        versions: {},
        table: {
          head: [
            "",
            "training speed",
            "texts",
            "in time",
            "against one after the other",
            "first token, ms (p50, p95)",
            "a token, ms (p50, p95)",
          ],
          rows: [
            ["training alone", "1×", "", "", "", "", ""],
            ...outcomes.map(([name, outcome]) => {
              const own = attainmentOf(outcome.texts, targets);
              const speed = speedOf(outcome);
              return [
                name,
                speed === null ? "" : `${speed}×`,
                `${outcome.texts.length}`,
                `${(100 * own).toFixed(0)} %`,
                attained === 0 ? "none there" : `${(own / attained).toFixed(1)}×`,
                percentiles(outcome.texts.map(({ firstTokenMs }) => firstTokenMs)),
                percentiles(outcome.texts.map(({ tokenMs }) => tokenMs)),
              ];
            }),
          ],
        },
        results: {
          solo_seconds: rounded(solo, 2),
          ...Object.fromEntries(
            outcomes.map(([name, outcome]) => [
              name,
              {
                training_speed: speedOf(outcome),
                attainment: rounded(attainmentOf(outcome.texts, targets), 3),
                texts: outcome.texts.length,
                wait_ms: percentiles(outcome.texts.map(({ waitMs }) => waitMs)),
                first_token_ms: percentiles(outcome.texts.map(({ firstTokenMs }) => firstTokenMs)),
                token_ms: percentiles(outcome.texts.map(({ tokenMs }) => tokenMs)),
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
