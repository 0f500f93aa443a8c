/**
 * @file How much of a step does DropBP save, with the head and the optimizer apart?
 *
 * Everything runs in one process and is measured in processor time. Rates take turns step by step, so that other load on the
 * machine affects all of them equally. Which branches a step leaves out is drawn as in a run with equal rates.
 */
import { toBatch, type Batch } from "../src/data/batches/batch.ts";
import { labelledPositions } from "../src/data/batches/pass-facts.ts";
import { makeExample } from "../src/data/examples/example.ts";
import { loadModel } from "../src/format/by-path.ts";
import { COMPUTES } from "../src/nn/computes.ts";
import type { BaseModel } from "../src/models/base/base-model.ts";
import { Random } from "../src/random.ts";
import { LabelHead } from "../src/run/head/label-head.ts";
import type { Session } from "../src/run/session.ts";
import { createEngine } from "../src/runtime/create-engine.ts";
import { zeros } from "../src/runtime/host-tensor.ts";
import { branchesOf, droppedByBlock, type ModelBranch } from "../src/train/dropbp/branch-list.ts";
import { drawBranches } from "../src/train/dropbp/draw-branches.ts";
import { openSession } from "../src/train/open-session.ts";
import { StepRunner } from "../src/train/step/step-runner.ts";
import { openAdamw } from "../test/passes/adamw.ts";
import { defineBenchmark, type BenchContext, type Json } from "./bench.ts";
import { startAdapter } from "./draw-adapter.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { median, rounded } from "./harness/statistics.ts";
import { processorMs } from "../src/train/power/processor-ms.ts";

const SEED = 1;
/** Cost of the backward pass over the blocks in forward passes; 1 by default: adapters need no gradients of frozen weights. */
const BACKWARD: Readonly<Record<string, number>> = { full: 2 };

export const benchmark = defineBenchmark({
  question: "How much of a step does DropBP save, with the head and the optimizer apart?",
  flags: {
    model: MODEL,
    methods: { value: "lora,full", help: "methods, with commas" },
    rates: { value: "0.5,0.75,0.875", help: "shares of the backward pass to leave out, with commas" },
    compute: { value: "f32", help: `arithmetic: ${Object.keys(COMPUTES).join(", ")}` },
    batch: { value: 4, help: "rows of a step" },
    "max-length": { value: 256, help: "tokens of a row" },
    rounds: { value: 6, help: "steps of each rate, after those that compile all programs" },
    threads: { value: 1, help: "threads" },
  },
  run: async (values, context) => {
    const { base, checkpoint } = await loadModel(await findModel(values.model, context));
    const rates = [0, ...values.rates.split(",").map(Number)];
    const compute = Object.values(COMPUTES).find(({ name }) => name === values.compute) ?? COMPUTES.f32;
    const engine = createEngine({ threads: values.threads });
    const batch = randomBatch(base, values.batch, values["max-length"]);
    const options = { compute, batch, warn: context.say };
    const session = await openSession(engine, base, "float32", options);
    const rows: MethodRates[] = [];
    for (const method of values.methods.split(","))
      rows.push(await measureMethod(session, method, { rates, batch, numRounds: values.rounds }, context));
    await session.release();
    await checkpoint.close();
    return {
      table: {
        head: ["method", "rate", "left out", "step", "head", "optimizer", "the rest", "of all", "expected"],
        rows: rows.flatMap(({ method, head, costs }) =>
          costs.map((cost) => [
            method,
            String(cost.rate),
            `${(100 * cost.share).toFixed(1)} %`,
            `${cost.step.toFixed(2)} s`,
            `${head.toFixed(2)} s`,
            `${cost.update.toFixed(2)} s`,
            `${cost.rest.toFixed(2)} s`,
            cost.ratio.toFixed(3),
            cost.expected.toFixed(3),
          ]),
        ),
      },
      results: Object.fromEntries(rows.map((row) => [row.method, resultsOf(row)])),
    };
  },
});

/** Processor seconds of steps at one rate. */
interface RateCost {
  readonly rate: number;
  /** Share of the backward pass that was left out, in multiplications. */
  readonly share: number;
  readonly step: number;
  readonly update: number;
  /** The step without head and optimizer. */
  readonly rest: number;
  /** `rest` divided by that with the whole backward pass. */
  readonly ratio: number;
  /** The ratio expected from multiplications, at the nominal rate. */
  readonly expected: number;
}

interface MethodRates {
  readonly method: string;
  readonly head: number;
  readonly costs: readonly RateCost[];
}

async function measureMethod(
  session: Session,
  method: string,
  { rates, batch, numRounds }: { rates: readonly number[]; batch: Batch; numRounds: number },
  { say }: BenchContext,
): Promise<MethodRates> {
  const side = await openSide(session, method, batch);
  const measured = rates.map((rate): Measured => ({ rate, shares: [], steps: [], updates: [] }));
  const headSeconds: number[] = [];
  // A program for each way to drop is compiled when it is first needed.
  const names = new Set(side.branches.map(({ name }) => name));
  for (const dropped of [null, ...names]) await side.step(0, (i) => side.branches[i]?.name === dropped);
  for (let round = 0; round < numRounds; round++) {
    say(`${method}: round ${round + 1} of ${numRounds}`);
    for (const { rate, shares, steps, updates } of measured) {
      const branchRates = side.branches.map(() => rate);
      const isDropped = drawBranches(branchRates, rate, SEED, { step: round, micro: 0 });
      const stepSeconds = await side.step(round, (k) => isDropped[k] === true);
      const updateSeconds = await side.update();
      // The head runs after the update, not before: its gradients overwrite those of the step.
      headSeconds.push(await side.head());
      shares.push(shareOf(side.branches, isDropped));
      steps.push(stepSeconds + updateSeconds);
      updates.push(updateSeconds);
    }
  }
  await side.release();
  const head = median(headSeconds);
  return { method, head, costs: costsOf(measured, head, BACKWARD[method] ?? 1) };
}

/** Opens a training of a method, as parts that each return their processor seconds. */
async function openSide(session: Session, method: string, batch: Batch) {
  const { base, engine } = session;
  const adapter = await startAdapter(base, method, {}, new Random(SEED));
  const steps = await StepRunner.create({ session, adapter, recompute: false, seed: SEED });
  const adamw = await openAdamw(engine, adapter);
  const branches = branchesOf(base.model, batch.length);
  const head = new LabelHead(session, adapter);
  const derivatives = new Float32Array(batch.numLabels).fill(-1 / batch.numLabels);
  return {
    branches,
    step: (round: number, isDropped: (branch: number) => boolean): Promise<number> => {
      steps.dropBranches(droppedByBlock(base.model, branches, isDropped));
      return processorSeconds(async () => {
        steps.gradients.begin();
        await steps.accumulate(batch, derivatives, { step: round, micro: 0 });
        steps.gradients.finish();
      });
    },
    /** Changes the parameters so little that every step computes the same. */
    update: (): Promise<number> =>
      processorSeconds(async () => {
        await adamw.step(steps.gradients.groups, { learningRate: 1e-12 });
      }),
    head: (): Promise<number> =>
      processorSeconds(() => runHead(session, head, steps, { batch, derivatives })),
    release: async (): Promise<void> => {
      await steps.release();
      await adamw.release();
    },
  };
}

/** Share of the backward pass that is left out, in multiplications. */
function shareOf(branches: readonly ModelBranch[], isDropped: readonly boolean[]): number {
  const cost = (of: (branch: number) => boolean): number =>
    branches.reduce((sum, { flops }, i) => sum + (of(i) ? flops : 0), 0);
  return cost((i) => isDropped[i] === true) / cost(() => true);
}

/** Measurements of each round of a rate. */
interface Measured {
  readonly rate: number;
  readonly shares: number[];
  readonly steps: number[];
  readonly updates: number[];
}

/** Computes the costs; the first rate must leave nothing out. `passes`: cost of the backward pass in forward passes. */
function costsOf(measured: readonly Measured[], head: number, passes: number): RateCost[] {
  const rest = measured.map(({ steps, updates }) => median(steps.map((s, i) => s - updates[i]!)) - head);
  return measured.map(({ rate, shares, steps, updates }, i) => ({
    rate,
    share: shares.reduce((sum, share) => sum + share, 0) / shares.length,
    step: median(steps),
    update: median(updates),
    rest: rest[i]!,
    ratio: rest[i]! / rest[0]!,
    expected: (1 + passes * (1 - rate)) / (1 + passes),
  }));
}

/** Returns the processor seconds of all threads of this process while `run` runs. */
async function processorSeconds(run: () => Promise<unknown>): Promise<number> {
  const startMs = processorMs();
  await run();
  return (processorMs() - startMs) / 1000;
}

async function runHead(
  { base, pool }: Session,
  head: LabelHead,
  { gradients }: StepRunner,
  { batch, derivatives }: { readonly batch: Batch; readonly derivatives: Float32Array },
): Promise<void> {
  const x = zeros("float32", [batch.numRows, batch.length, base.model.width]);
  const random = new Random(SEED);
  x.data.forEach((_, i) => (x.data[i] = random.uniform() - 0.5));
  gradients.begin();
  const into = new Float32Array(batch.numLabels);
  pool.release(await head.gradient(x, labelledPositions(batch), { derivatives, into }, gradients));
  gradients.finish();
}

function randomBatch({ model }: BaseModel, numRows: number, length: number): Batch {
  const random = new Random(SEED);
  const rows = Array.from({ length: numRows }, (_, row) => {
    const ids = Array.from({ length }, () => random.integer(model.vocabSize ?? 1));
    return [makeExample(ids, () => true, { file: "random", line: row + 1 })];
  });
  return toBatch(rows);
}

function resultsOf({ head, costs }: MethodRates): Json {
  return {
    head_seconds: rounded(head, 4),
    rates: costs.map((cost) => ({
      rate: cost.rate,
      left_out: rounded(cost.share, 4),
      step_seconds: rounded(cost.step, 4),
      optimizer_seconds: rounded(cost.update, 4),
      rest_seconds: rounded(cost.rest, 4),
      rest_ratio: rounded(cost.ratio, 4),
      expected_ratio: rounded(cost.expected, 4),
    })),
  };
}
