/** @file What do a training and texts on one base cost each other, by each way to share the machine, against one after the other? */
import {
  DEFAULT_POLICY,
  TURN_POLICIES,
  type TurnPolicyName,
  findPolicy,
} from "../src/engine/scheduling/turn-policies.ts";
import { AUTO_COMPUTE, type ComputeChoice } from "../src/engine/opening/choose-compute.ts";
import { DEFAULT_TARGETS, type ServiceTargets } from "../src/engine/scheduling/service-targets.ts";
import { resolveModel } from "../src/hub/resolve.ts";
import { findNamed } from "../src/messages/find-named.ts";
import type { ComputeName } from "../src/nn/computes.ts";
import { defineBenchmark } from "./bench.ts";
import { type CoServed, reportCoServing } from "./serving/co-serving-report.ts";
import { withScratch } from "./harness/scratch.ts";
import { type Progress, ServedTraining, type TrainingLength } from "./serving/served-training.ts";
import {
  PATTERNS,
  type TextLoad,
  arrivalsOf,
  comeAt,
  oneAdapterAtATime,
  writeText,
} from "./serving/text-load.ts";

/** Loquetier's test: 800 texts, one a second, of which each may wait 6 s. */
const PAPER_SECONDS = 800;
/** Rows in which texts wait for the training: it has the work that it had beside them, or goes on as long as they come. */
const EQUAL_WORK = "equal work, then texts";
const ALL_TIME = "all the time, then texts";

export const benchmark = defineBenchmark({
  question: "What do a training and texts on one base cost each other, against one after the other?",
  flags: {
    model: { value: "HuggingFaceTB/SmolLM2-135M-Instruct", help: "model" },
    data: { value: "examples/quickstart/train.jsonl", help: "what is trained on" },
    seconds: { value: 24, help: "for which texts come, in each row; the training goes on all the time" },
    batch: { value: 2, help: "examples of a step" },
    pattern: { value: "stable", help: `how texts come: ${Object.keys(PATTERNS).join(", ")}` },
    rate: { value: 1, help: "texts a second, on average; of scalable, in its first phase" },
    rates: { value: "0.5,2", help: "more rates for the first policy, with commas" },
    adapters: { value: 4, help: "adapters that the texts have in turn; 0: the base alone" },
    prompt: { value: 32, help: "tokens of a prompt" },
    tokens: { value: 24, help: "new tokens of a text" },
    policies: { value: TURN_POLICIES.map(({ name }) => name).join(","), help: "policies, with commas" },
    "queue-ms": {
      value: 0,
      help: `target up to the first step of a text; 0: ${DEFAULT_TARGETS.queueMs} of ${PAPER_SECONDS} s, scaled`,
    },
    "first-token-ms": { value: DEFAULT_TARGETS.firstTokenMs, help: "target up to its first token" },
    "token-ms": { value: DEFAULT_TARGETS.tokenMs, help: "target from one token to the next" },
    compute: { value: AUTO_COMPUTE, help: "arithmetic of texts" },
    "train-compute": { value: "f32", help: "arithmetic of the training" },
    threads: { value: 0, help: "threads of an operation; 0: all processors" },
  },
  async run(values, { say }) {
    const { seconds } = values;
    const { path } = await resolveModel(values.model);
    const names = Array.from({ length: values.adapters }, (_, i) => `adapter ${i}`);
    const load: TextLoad = {
      pattern: values.pattern,
      perSecond: values.rate,
      prompt: values.prompt,
      tokens: values.tokens,
      adapters: names.length > 0 ? names : [null],
    };
    const targets: ServiceTargets = {
      queueMs: values["queue-ms"] || (DEFAULT_TARGETS.queueMs * seconds) / PAPER_SECONDS,
      firstTokenMs: values["first-token-ms"],
      tokenMs: values["token-ms"],
    };
    const policies = values.policies.split(",").map((name) => findNamed("policy", TURN_POLICIES, name).name);
    const [first = DEFAULT_POLICY, ...others] = policies;
    const rates = values.rates.split(",").filter(Boolean).map(Number);
    return await withScratch(async (folder) => {
      const withModel = async <T>(
        policy: TurnPolicyName,
        run: (served: ServedTraining) => Promise<T>,
        maxLoaded = values.adapters + 1,
      ): Promise<T> => {
        say(`opening the model: ${policy}, ${maxLoaded} adapters in memory`);
        const served = await ServedTraining.open({
          path,
          folder,
          load,
          targets,
          maxLoaded,
          data: values.data,
          batchSize: values.batch,
          policy: findPolicy(policy),
          compute: values.compute as ComputeChoice,
          trainCompute: values["train-compute"] as ComputeName,
          threads: values.threads || undefined,
        });
        try {
          return await run(served);
        } finally {
          await served.close();
        }
      };
      const rows: CoServed[] = [];
      /** Texts come as long as it is asked for, beside a training if there is one. */
      const both = async (
        name: string,
        served: ServedTraining,
        rate: number,
        trains = true,
      ): Promise<void> => {
        say(`${name}, ${rate} texts a second`);
        const own = { ...load, perSecond: rate };
        const training = trains ? served.train({ seconds }) : null;
        const texts = await comeAt(arrivalsOf(own, seconds), (index, cameMs) =>
          writeText(served.engine, own, index, cameMs),
        );
        rows.push({ name, rate, progress: await training, texts });
      };
      const [before, after] = await withModel(first, async (served): Promise<[Progress, Progress]> => {
        say("training alone");
        const before = await served.train({ seconds });
        await both("texts alone", served, values.rate, false);
        for (const rate of [...rates, values.rate].sort((a, b) => a - b)) await both(first, served, rate);
        say("training alone, once more");
        return [before, await served.train({ seconds })];
      });
      for (const name of others) await withModel(name, (served) => both(name, served, values.rate));
      const beside = rows.find(({ name, rate }) => name === first && rate === values.rate);
      const steps = 1 + (beside?.progress?.stepMs.length ?? 0);
      const train = async (name: string, served: ServedTraining, length: TrainingLength): Promise<void> => {
        say(`${name}, ${values.rate} texts a second`);
        const ran = Promise.withResolvers<void>();
        const training = served.train(length, ran.resolve);
        const write = oneAdapterAtATime(served.engine, load, ran.promise);
        const texts = await comeAt(arrivalsOf(load, seconds), write);
        rows.push({ name, rate: values.rate, progress: await training, texts });
      };
      await withModel(
        first,
        async (served) => {
          await train(EQUAL_WORK, served, { steps });
          await train(ALL_TIME, served, { seconds });
        },
        1,
      );
      const report = reportCoServing(rows, [before, after], targets, [EQUAL_WORK, ALL_TIME]);
      return { parameters: values, versions: {}, ...report };
    });
  },
});
