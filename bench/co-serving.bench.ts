/** @file How much do a training and texts on one base slow each other, for each way to share the machine and one after the other? */
import {
  DEFAULT_POLICY,
  TURN_POLICIES,
  type TurnPolicyName,
  findPolicy,
} from "../src/engine/scheduling/turn-policies.ts";
import { AUTO_COMPUTE, type ComputeChoice } from "../src/engine/opening/choose-compute.ts";
import { DEFAULT_TARGETS, type ServiceTargets } from "../src/engine/scheduling/service-targets.ts";
import { findNamed } from "../src/messages/find-named.ts";
import type { ComputeName } from "../src/nn/computes.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { defineBenchmark } from "./bench.ts";
import { THREADS } from "./harness/threads.ts";
import { type CoServed, reportCoServing } from "./serving/co-serving-report.ts";
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
/** Rows in which texts wait for the training: it does as much work as it did beside them, or goes on as long as texts come. */
const EQUAL_WORK = "equal work, then texts";
const ALL_TIME = "all the time, then texts";

export const benchmark = defineBenchmark({
  question: "What do a training and texts on one base cost each other, against one after the other?",
  flags: {
    model: MODEL,
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
    threads: THREADS,
  },
  async run(values, { say, scratch: folder }) {
    const { seconds, rate: usualRate } = values;
    const path = await findModel(values.model, { say });
    const names = Array.from({ length: values.adapters }, (_, i) => `adapter ${i}`);
    const load: TextLoad = {
      pattern: values.pattern,
      perSecond: usualRate,
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
    const rates = values.rates.split(",").filter(Boolean).map(Number);
    const open: OpenServed = (policy, maxLoaded = values.adapters + 1) => {
      say(`opening the model: ${policy}, ${maxLoaded} adapters in memory`);
      return ServedTraining.open({
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
    };
    const { rows, alone } = await compare({ open, load, seconds, policies, rates, say });
    return reportCoServing(rows, alone, targets, [EQUAL_WORK, ALL_TIME]);
  },
});

/** Opens the model; the caller closes it. */
type OpenServed = (policy: TurnPolicyName, maxLoaded?: number) => Promise<ServedTraining>;

interface Comparison {
  readonly open: OpenServed;
  readonly load: TextLoad;
  readonly seconds: number;
  /** The first policy also runs at other rates, and without texts. */
  readonly policies: readonly TurnPolicyName[];
  readonly rates: readonly number[];
  readonly say: (line: string) => void;
}

/** Runs all rows, and the training alone before and after those of the first policy. */
async function compare(
  comparison: Comparison,
): Promise<{ readonly rows: CoServed[]; readonly alone: [Progress, Progress] }> {
  const { open, load, seconds, policies, rates, say } = comparison;
  const [first = DEFAULT_POLICY, ...others] = policies;
  const usualRate = load.perSecond;
  const rows: CoServed[] = [];
  const beside = async (name: string, served: ServedTraining, rate: number, trains = true): Promise<void> => {
    say(`${name}, ${rate} texts a second`);
    rows.push(await runBeside(served, { name, load: { ...load, perSecond: rate }, seconds }, trains));
  };
  const alone = await closing(await open(first), async (served): Promise<[Progress, Progress]> => {
    say("training alone");
    const before = await served.train({ seconds });
    await beside("texts alone", served, usualRate, false);
    for (const rate of [...rates, usualRate].sort((a, b) => a - b)) await beside(first, served, rate);
    say("training alone, once more");
    return [before, await served.train({ seconds })];
  });
  for (const name of others) await closing(await open(name), (served) => beside(name, served, usualRate));
  const usual = rows.find(({ name, rate }) => name === first && rate === usualRate);
  const steps = 1 + (usual?.progress?.stepMs.length ?? 0);
  await closing(await open(first, 1), async (served) => {
    for (const [name, length] of [
      [EQUAL_WORK, { steps }],
      [ALL_TIME, { seconds }],
    ] as const) {
      say(`${name}, ${usualRate} texts a second`);
      rows.push(await runBefore(served, { name, load, seconds }, length));
    }
  });
  return { rows, alone };
}

/** The texts of a row, and how long they arrive. */
interface RowOfTexts {
  readonly name: string;
  readonly load: TextLoad;
  readonly seconds: number;
}

/** Runs texts that arrive for `seconds`, beside a training if there is one. */
async function runBeside(
  served: ServedTraining,
  { name, load, seconds }: RowOfTexts,
  trains: boolean,
): Promise<CoServed> {
  const training = trains ? served.train({ seconds }) : null;
  const texts = await comeAt(arrivalsOf(load, seconds), (index, cameMs) =>
    writeText(served.engine, load, index, cameMs),
  );
  return { name, rate: load.perSecond, progress: await training, texts };
}

/** Runs texts that arrive as in `runBeside`, but wait until the training has ended. */
async function runBefore(
  served: ServedTraining,
  { name, load, seconds }: RowOfTexts,
  length: TrainingLength,
): Promise<CoServed> {
  const ran = Promise.withResolvers<void>();
  const training = served.train(length, ran.resolve);
  const write = oneAdapterAtATime(served.engine, load, ran.promise);
  const texts = await comeAt(arrivalsOf(load, seconds), write);
  return { name, rate: load.perSecond, progress: await training, texts };
}

async function closing<T>(served: ServedTraining, run: (served: ServedTraining) => Promise<T>): Promise<T> {
  try {
    return await run(served);
  } finally {
    await served.close();
  }
}
