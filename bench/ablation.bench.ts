/** @file What does each way to train with less save alone, and all together, in memory and time, against PEFT in the same run? */
import { join } from "node:path";
import { writeTinyModel } from "../test/tiny/model.ts";
import { UsageError } from "../src/errors.ts";
import { DEFAULT_MODEL } from "../src/hub/resolve.ts";
import { defineBenchmark, type BenchContext, type Json } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { writeEnoughText } from "./harness/enough-text.ts";
import { interleave } from "./harness/interleave.ts";
import { largestPeak, showPeak } from "./harness/memory.ts";
import { asFolder, findModel, pythonVersions, runPeer } from "./harness/peers.ts";
import { median, ratioOf, roundedSpread, showRatio } from "./harness/statistics.ts";
import { steadySeconds, trainWithGraft, trainWithPeft, type TrainingRun } from "./training/training-sides.ts";

const SEED = 1;

/** Models by name: their sizes with random weights and an alphabet of bytes. */
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

const ACCUMULATION = "--gradient-accumulation-steps";

/** What each way adds to the flags; `batch` rows of a step in all, of which one is run at a time where they accumulate. */
const WAYS: Readonly<Record<string, (batch: number) => string>> = {
  plain: () => "",
  accumulation: (batch) => `${ACCUMULATION} ${batch}`,
  checkpointing: () => "--gradient-checkpointing on",
  "parameters on disk": () => "--resident-memory 200MB --gradient-checkpointing on",
  "4-bit base": () => "--base q4_0",
  "8-bit products": () => "--compute int8",
  DropBP: () => "--dropbp 0.875",
  pauses: () => "--power-schedule 0-:500",
  "least memory": (batch) =>
    `--base q4_0 --gradient-checkpointing on --dropbp 0.875 ${ACCUMULATION} ${batch}`,
  "least time": () => "--compute int8 --dropbp 0.875",
};

export const benchmark = defineBenchmark({
  question: "What does each way to train with less save, alone and together, against PEFT?",
  flags: {
    models: { value: "smollm2", help: `of smollm2, ${Object.keys(SHAPES).join(", ")}, with commas` },
    model: { value: DEFAULT_MODEL, help: "what smollm2 stands for: a name, a folder or a .gguf file" },
    ways: { value: "all", help: `of ${Object.keys(WAYS).join(", ")}, with commas` },
    batch: { value: 4, help: "rows of a step" },
    "max-length": { value: 256, help: "tokens of a row" },
    steps: { value: 5, help: "steps of a run; the first two are not timed" },
    rounds: { value: 3, help: "runs of each side" },
  },
  async run(values, context) {
    const { scratch } = context;
    const { batch, "max-length": maxLength, steps } = values;
    const ways = values.ways === "all" ? Object.keys(WAYS) : values.ways.split(",").map((way) => way.trim());
    const data = join(scratch, "text.txt");
    await writeEnoughText(data, batch * maxLength * steps, SEED);
    const rows: string[][] = [];
    const results: Record<string, Json> = {};
    for (const name of values.models.split(",").map((model) => model.trim())) {
      const model = await folderOf(name, values.model, scratch, context);
      const adapter = join(scratch, `start-${name}`);
      await runPeer("make_adapter.py", [model, "8", String(SEED), adapter]);
      const task = { model, data, adapter, batchSize: batch, maxLength, learningRate: 2e-4, threads: 0 };
      const train = (flags: string): Promise<TrainingRun> => {
        const own = [...flagWords({ steps }), ...wordsOf(flags)];
        const batchSize = own.includes(ACCUMULATION) ? 1 : batch;
        return trainWithGraft({ ...task, batchSize }, join(scratch, "run"), own);
      };
      const peft = (flags: readonly string[]): Promise<TrainingRun> =>
        trainWithPeft("peft_step.py", task, [...flagWords({ steps }), ...flags]);
      const sides: Record<string, () => Promise<TrainingRun>> = {
        PEFT: () => peft([]),
        "PEFT, checkpointing": () => peft(["--checkpointing"]),
        ...Object.fromEntries(ways.map((way) => [way, () => train(wayOf(way)(batch))])),
      };
      const rounds = await interleave(values.rounds, sides, context);
      const seconds = (side: string): number[] =>
        (rounds[side] ?? []).map((run) => median(steadySeconds(run)));
      const reference = largestPeak(rounds["PEFT"] ?? []);
      for (const side of Object.keys(sides)) {
        const peak = largestPeak(rounds[side] ?? []);
        const memory = peak !== null && reference !== null ? peak / reference : null;
        const speed = ratioOf(seconds("PEFT"), seconds(side));
        const loss = rounds[side]?.[0]?.losses.at(-1) ?? null;
        rows.push([
          name,
          side,
          showPeak(peak),
          memory === null ? "" : `${memory.toFixed(2)}×`,
          median(seconds(side)).toFixed(2),
          showRatio(speed),
          loss?.toFixed(3) ?? "",
        ]);
        results[`${name}: ${side}`] = {
          peak_mb: peak,
          memory_ratio: memory,
          step_seconds: median(seconds(side)),
          speed_ratio: roundedSpread(speed),
          last_loss: loss,
        };
      }
    }
    return {
      parameters: values,
      versions: await pythonVersions(),
      table: {
        head: ["model", "side", "peak memory", "/ PEFT's", "s/step", "speed against PEFT", "last loss"],
        rows,
      },
      results,
    };
  },
});

function wayOf(name: string): (batch: number) => string {
  const way = WAYS[name];
  if (way) return way;
  throw new UsageError("usage/flag", `Cannot find way "${name}", expected ${Object.keys(WAYS).join(", ")}`);
}

/** A folder of a model that both sides read. */
async function folderOf(
  name: string,
  model: string,
  scratch: string,
  context: BenchContext,
): Promise<string> {
  const shape = SHAPES[name];
  if (shape) return await writeTinyModel(join(scratch, name), { ...shape, config: { ...shape.config } });
  if (name === "smollm2") return await asFolder(await findModel(model, context), context);
  throw new UsageError(
    "usage/flag",
    `Cannot find model "${name}", expected smollm2 or one of ${Object.keys(SHAPES).join(", ")}`,
  );
}
