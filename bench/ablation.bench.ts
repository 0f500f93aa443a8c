/** @file What does each way to save memory in training gain alone, and all together, in memory and time, compared with PEFT? */
import { join } from "node:path";
import { writeTinyModel } from "../test/tiny/model.ts";
import { UsageError } from "../src/errors.ts";
import { DEFAULT_MODEL } from "../src/hub/resolve.ts";
import { findNamed } from "../src/messages/find-named.ts";
import { defineBenchmark, type BenchContext, type Outcome } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { writeEnoughText } from "./harness/enough-text.ts";
import { interleave } from "./harness/interleave.ts";
import { largestPeak, showPeak } from "./harness/memory.ts";
import { asFolder, findModel, pythonVersions } from "./harness/peers.ts";
import { median, ratioOf, roundedSpread, showRatio, type Spread } from "./harness/statistics.ts";
import {
  drawStart,
  stepSecondsOf,
  trainWithGraft,
  trainWithPeft,
  type TrainingRun,
  type TrainingTask,
} from "./training/training-sides.ts";

const SEED = 1;

/** Models by name: made with these sizes, random weights and a byte tokenizer. */
const SHAPES: Readonly<Record<string, { readonly modelType: string; readonly config: object }>> = {
  "gpt2-small": {
    modelType: "gpt2",
    config: { vocab_size: 50_257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12, n_inner: 3072 },
  },
  "gemma-270m": {
    modelType: "gemma3_text",
    config: {
      vocab_size: 262_144,
      hidden_size: 640,
      intermediate_size: 2048,
      num_hidden_layers: 18,
      num_attention_heads: 4,
      num_key_value_heads: 1,
      head_dim: 256,
      sliding_window: 512,
      max_position_embeddings: 2048,
    },
  },
};

/** The side with which the others are compared. */
const PEFT = "PEFT";

const ACCUMULATION = "--gradient-accumulation-steps";

/** Ways to save memory, each by the flags that it adds. */
const WAYS: readonly {
  readonly name: string;
  /** `batch`: all rows of a step; with accumulation they run one at a time. */
  readonly flags: (batch: number) => string;
}[] = [
  { name: "plain", flags: () => "" },
  { name: "accumulation", flags: (batch) => `${ACCUMULATION} ${batch}` },
  { name: "checkpointing", flags: () => "--gradient-checkpointing on" },
  { name: "parameters on disk", flags: () => "--resident-memory 200MB --gradient-checkpointing on" },
  { name: "4-bit base", flags: () => "--base q4_0" },
  { name: "8-bit products", flags: () => "--compute int8" },
  { name: "DropBP", flags: () => "--dropbp 0.875" },
  { name: "pauses", flags: () => "--power-schedule 0-:500" },
  {
    name: "least memory",
    flags: (batch) => `--base q4_0 --gradient-checkpointing on --dropbp 0.875 ${ACCUMULATION} ${batch}`,
  },
  { name: "least time", flags: () => "--compute int8 --dropbp 0.875" },
];

const WAY_NAMES = WAYS.map(({ name }) => name);

export const benchmark = defineBenchmark({
  question: "What does each way to train with less save, alone and together, against PEFT?",
  flags: {
    models: { value: "smollm2", help: `of smollm2, ${Object.keys(SHAPES).join(", ")}, with commas` },
    model: { value: DEFAULT_MODEL, help: "what smollm2 stands for: a name, a folder or a .gguf file" },
    ways: { value: "all", help: `of ${WAY_NAMES.join(", ")}, with commas` },
    batch: { value: 4, help: "rows of a step" },
    "max-length": { value: 256, help: "tokens of a row" },
    steps: { value: 5, help: "steps of a run; the first two are not timed" },
    rounds: { value: 3, help: "runs of each side" },
  },
  async run(values, context) {
    const { batch, "max-length": maxLength, steps } = values;
    const ways = values.ways === "all" ? WAY_NAMES : splitNames(values.ways);
    const data = join(context.scratch, "text.txt");
    await writeEnoughText(data, batch * maxLength * steps, SEED);
    const rows: Row[] = [];
    for (const name of splitNames(values.models)) {
      const model = await folderOf(name, values.model, context);
      const adapter = await drawStart(model, 8, SEED, join(context.scratch, `start-${name}`));
      const task = { model, data, adapter, batchSize: batch, maxLength, learningRate: 2e-4, threads: 0 };
      const sides = sidesOf(task, steps, ways, join(context.scratch, "run"));
      const rounds = await interleave(values.rounds, sides, context);
      rows.push(...Object.entries(rounds).map(([side, runs]) => rowOf(name, side, runs, rounds[PEFT] ?? [])));
    }
    return { versions: await pythonVersions(), ...report(rows) };
  },
});

function splitNames(names: string): string[] {
  return names.split(",").map((name) => name.trim());
}

/** PEFT in both ways, and graft in each of its ways. */
function sidesOf(
  task: TrainingTask,
  steps: number,
  ways: readonly string[],
  output: string,
): Readonly<Record<string, () => Promise<TrainingRun>>> {
  const peft = (flags: readonly string[]): Promise<TrainingRun> =>
    trainWithPeft("peft_step.py", task, [...flagWords({ steps }), ...flags]);
  const train = (flags: string): Promise<TrainingRun> => {
    const own = [...flagWords({ steps }), ...wordsOf(flags)];
    const batchSize = own.includes(ACCUMULATION) ? 1 : task.batchSize;
    return trainWithGraft({ ...task, batchSize }, output, own);
  };
  return {
    [PEFT]: () => peft([]),
    "PEFT, checkpointing": () => peft(["--checkpointing"]),
    ...Object.fromEntries(
      ways.map((way) => [way, () => train(findNamed("way", WAYS, way).flags(task.batchSize))]),
    ),
  };
}

/** What the runs of a side needed, compared with PEFT's on the same model. */
interface Row {
  readonly model: string;
  readonly side: string;
  readonly peak: number | null;
  readonly memory: number | null;
  readonly seconds: number;
  readonly speed: Spread;
  readonly loss: number | null;
}

function rowOf(model: string, side: string, runs: readonly TrainingRun[], peft: readonly TrainingRun[]): Row {
  const [peak, reference] = [largestPeak(runs), largestPeak(peft)];
  return {
    model,
    side,
    peak,
    memory: peak !== null && reference !== null ? peak / reference : null,
    seconds: median(stepSecondsOf(runs)),
    speed: ratioOf(stepSecondsOf(peft), stepSecondsOf(runs)),
    loss: runs[0]?.losses.at(-1) ?? null,
  };
}

function report(rows: readonly Row[]): Outcome {
  return {
    table: {
      head: ["model", "side", "peak memory", "/ PEFT's", "s/step", "speed against PEFT", "last loss"],
      rows: rows.map(({ model, side, peak, memory, seconds, speed, loss }) => [
        model,
        side,
        showPeak(peak),
        memory === null ? "" : `${memory.toFixed(2)}×`,
        seconds.toFixed(2),
        showRatio(speed),
        loss?.toFixed(3) ?? "",
      ]),
    },
    results: Object.fromEntries(
      rows.map(({ model, side, peak, memory, seconds, speed, loss }) => [
        `${model}: ${side}`,
        {
          peak_mb: peak,
          memory_ratio: memory,
          step_seconds: seconds,
          speed_ratio: roundedSpread(speed),
          last_loss: loss,
        },
      ]),
    ),
  };
}

/** A folder of a model that both sides read. */
async function folderOf(name: string, model: string, context: BenchContext): Promise<string> {
  const shape = SHAPES[name];
  if (shape)
    return await writeTinyModel(join(context.scratch, name), { ...shape, config: { ...shape.config } });
  if (name === "smollm2") return await asFolder(await findModel(model, context), context);
  throw new UsageError(
    "usage/flag",
    `Cannot find model "${name}", expected smollm2 or one of ${Object.keys(SHAPES).join(", ")}`,
  );
}
