/**
 * @file Makes the small model of the tests: a Llama of about a million parameters, trained from scratch by graft itself.
 *
 *   node tools/small-model/make-model.ts OUT [--steps N] [--seed N]
 *
 * Tokenizer and weights start from the text of make-text.ts and a seed; the weights are trained through
 * `train()` with the method `full`, rounded to bfloat16, measured on text of another seed, and written to the folder OUT
 * with a README.md that reports all this with numbers.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv, stdout } from "node:process";
import { parseArgs } from "node:util";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { UsageError } from "../../src/errors.ts";
import { writeTextAtomic } from "../../src/format/files/atomic.ts";
import { openModel } from "../../src/models/families.ts";
import type { TensorSpec } from "../../src/models/graphs/sites.ts";
import { type TokenizerFiles } from "../../src/format/checkpoint/checkpoint.ts";
import { writeModel, loadModel } from "../../src/format/by-path.ts";
import { float32ToBfloat16 } from "../../src/quant/codes/half.ts";
import { Random } from "../../src/random.ts";
import { type HostTensor, hostTensor } from "../../src/runtime/host-tensor.ts";
import { numElements } from "../../src/graph/shape.ts";
import type { TrainEvent } from "../../src/train/events.ts";
import type { TrainInput } from "../../src/train/settings/train-input.ts";
import { type TrainResult, train } from "../../src/train/trainer.ts";
import { smallModelText } from "./make-text.ts";
import { smallModelCard } from "./card.ts";
import { trainBpe } from "./train-bpe.ts";

/** Small enough that words consist of several tokens, so that parts of new words are known. */
const VOCAB_SIZE = 512;
const TOKENIZER_BYTES = 1_500_000;
const TRAIN_BYTES = 8_000_000;
const HELD_OUT_BYTES = 60_000;
/** Seed of the held-out text; the training text has the seed of the run, from 0. */
const HELD_OUT_SEED = 1_000_003;
const INIT_STREAM = 3;

/** Settings of the training other than its length, seed and files. */
const RECIPE = {
  method: "full",
  trainOn: "all",
  packing: true,
  maxLength: 320,
  batchSize: 4,
  learningRate: 3e-3,
  schedule: "cosine",
  warmupSteps: 50,
  maxGradNorm: 1,
  beta2: 0.95,
} as const satisfies Partial<TrainInput>;

/** Turns documents, separated by empty lines, into rows of JSONL: chats as messages, others as text. */
export function documentRows(text: string): string {
  const documents = text.split("\n\n").filter((document) => document !== "");
  const rows = documents.map((document) => {
    const turns = [...document.matchAll(/<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>/gs)];
    return turns.length === 0
      ? { text: document }
      : { messages: turns.map(([, role, content]) => ({ role, content })) };
  });
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

/** Makes the text that the model is measured on and never trained on. */
export function heldOutText(sizeBytes = HELD_OUT_BYTES): string {
  return smallModelText(sizeBytes, HELD_OUT_SEED);
}

/** Trains the model's tokenizer on the first part of its text. */
export function trainTokenizer(text: string): TokenizerFiles {
  return trainBpe(text.slice(0, TOKENIZER_BYTES), VOCAB_SIZE);
}

function modelConfig(files: TokenizerFiles): Record<string, unknown> {
  const { vocabSize, eosId, padId } = createTokenizer(files);
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: vocabSize,
    hidden_size: 128,
    intermediate_size: 352,
    num_hidden_layers: 5,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 512,
    hidden_act: "silu",
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: null,
    eos_token_id: eosId,
    pad_token_id: padId,
    initializer_range: 0.02,
    torch_dtype: "bfloat16",
  };
}

/** Draws start values with deviation 0.02; smaller for what is added to the residual stream, by the number of such sums. */
function drawTensor({ name, shape, role }: TensorSpec, numLayers: number, random: Random): HostTensor {
  const isAdded = /\.(o_proj|down_proj)\.weight$/.test(name);
  const deviation = isAdded ? 0.02 / Math.sqrt(2 * numLayers) : 0.02;
  const values = new Float32Array(numElements(shape));
  return hostTensor(
    "float32",
    shape,
    values.map(() => (role === "norm" ? 1 : deviation * random.normal())),
  );
}

async function writeStart(folder: string, tokenizerFiles: TokenizerFiles, seed: number): Promise<void> {
  const config = modelConfig(tokenizerFiles);
  const { numLayers, tensors: specs } = openModel(config);
  const random = new Random(seed, INIT_STREAM);
  const tensors = [...specs.values()].map(
    (spec) => [spec.name, drawTensor(spec, numLayers, random)] as const,
  );
  await writeModel(folder, { config, generationConfig: null, tokenizerFiles, tensors });
}

/** Copies a trained model with its weights rounded to bfloat16. */
async function writeRounded(from: string, to: string): Promise<void> {
  const { base, checkpoint } = await loadModel(from);
  try {
    const tensors: [string, HostTensor][] = [];
    for (const { name, shape } of base.model.tensors.values()) {
      const bits = float32ToBfloat16((await base.values(name)).data);
      tensors.push([name, hostTensor("bfloat16", shape, bits)]);
    }
    const config = { ...checkpoint.config, torch_dtype: "bfloat16" };
    delete (config as Record<string, unknown>)["dtype"];
    await writeModel(to, { ...checkpoint, config, tensors });
  } finally {
    await checkpoint.close();
  }
}

/** Options of `makeSmallModel`. */
interface SmallModelOptions {
  readonly output: string;
  readonly steps: number;
  readonly seed: number;
  /** Bytes of the training text; default: TRAIN_BYTES. */
  readonly trainBytes?: number;
  readonly heldOutBytes?: number;
  readonly onEvent?: (event: TrainEvent) => void;
}

/** Makes the model folder; returns the result of the training. */
export async function makeSmallModel(options: SmallModelOptions): Promise<TrainResult> {
  const { output, steps, seed, trainBytes = TRAIN_BYTES, heldOutBytes, onEvent = () => {} } = options;
  const work = mkdtempSync(join(tmpdir(), "small-model-"));
  try {
    const path = (name: string): string => join(work, name);
    const text = smallModelText(trainBytes, seed);
    writeFileSync(path("train.jsonl"), documentRows(text));
    writeFileSync(path("held-out.jsonl"), documentRows(heldOutText(heldOutBytes)));
    await writeStart(path("start"), trainTokenizer(text), seed);
    const result = await train(
      {
        ...RECIPE,
        // For trials of few steps.
        warmupSteps: Math.min(RECIPE.warmupSteps, Math.floor(steps / 2)),
        model: path("start"),
        data: path("train.jsonl"),
        evalData: path("held-out.jsonl"),
        evalEvery: 200,
        logEvery: 20,
        output: path("run"),
        steps,
        seed,
      },
      { onEvent },
    );
    await writeRounded(path("run"), output);
    await writeTextAtomic(
      join(output, "README.md"),
      await smallModelCard(output, {
        ...options,
        trainBytes,
        recipe: RECIPE,
        result,
        heldOutPath: path("held-out.jsonl"),
        trainPath: path("train.jsonl"),
      }),
    );
    return result;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { steps: { type: "string", default: "2000" }, seed: { type: "string", default: "1" } },
  });
  const [output] = positionals;
  const [steps, seed] = [Number(values.steps), Number(values.seed)];
  if (output === undefined || positionals.length > 1 || !(steps >= 1) || !(seed >= 0)) {
    throw new UsageError(
      "usage/flag",
      `Cannot make a model from "${argv.slice(2).join(" ")}": expected OUT [--steps N] [--seed N]`,
    );
  }
  const onEvent = (event: TrainEvent): void => void stdout.write(`${JSON.stringify(event)}\n`);
  await makeSmallModel({ output, steps, seed, onEvent });
}

if (import.meta.main) await main();
