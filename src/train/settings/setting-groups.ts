/** @file The settings of a run that do not belong to its method, optimizer or objective: schemas and descriptions. */
import { z } from "zod";
import { CHAT_TEMPLATE } from "../../data/chat/named-templates.ts";
import { TRAIN_ON } from "../../data/examples/example.ts";
import { DATA_ENDINGS } from "../../data/formats/file-kinds.ts";
import { maxLengthSetting } from "../../data/max-length.ts";
import { COLUMNS } from "../../data/rows/columns.ts";
import { isRecord } from "../../data/rows/row-error.ts";
import { COMPUTE_NAMES } from "../../nn/computes.ts";
import { OPTIMIZERS } from "../../optim/optimizers.ts";
import { SCHEDULES, WARMUP_SHARE } from "../../optim/schedules.ts";
import type { Method } from "../../peft/method.ts";
import { METHODS } from "../../peft/methods.ts";
import { BASE_KINDS } from "../../quant/storages.ts";
import { SHARD_DTYPES } from "../../runtime/memory/vector-memory.ts";
import { ATTENTION_CHUNKS } from "../../run/attention-chunk.ts";
import { RESIDENCIES } from "../../run/weights/weights.ts";
import { ACTIVATION_FORMS } from "../activations/forms.ts";
import { DEFAULT_SENSITIVITY, SENSITIVITIES } from "../dropbp/sensitivity.ts";
import { EVAL_METRICS } from "../eval-metrics.ts";
import { LOG_FORMATS } from "../logs/log-formats.ts";
import type { Objective } from "../objective.ts";
import { OBJECTIVES, defaultObjective } from "../objectives.ts";
import { POWER_OPTIONS } from "../power/options.ts";
import { DATA_PARALLEL } from "./data-parallel.ts";
import { THREADS } from "./threads.ts";
import { NAME_OR_PATH, PATH } from "../../messages/paths.ts";
import { sizeSetting } from "../../messages/size-setting.ts";

const names = (kinds: readonly { readonly name: string }[]): [string, ...string[]] =>
  kinds.map((kind) => kind.name) as [string, ...string[]];
const summaries = (kinds: readonly { readonly summary: string }[]): string[] =>
  kinds.map(({ summary }) => summary);
/** "a, b, or c" */
const oneOf = new Intl.ListFormat("en", { type: "disjunction" });

/** The setting that names the objective. */
export function objectiveChoice(objectives: readonly Objective[]) {
  return z
    .enum(names(objectives))
    .optional()
    .describe(
      `Training objective; default: ${defaultObjective({ problem: null }).name}, or the one that suits a classification or regression head`,
    );
}

/** The setting that names the method. */
export function methodChoice(methods: readonly Method[]) {
  return z.enum(names(methods)).default("lora").describe("Fine-tuning method");
}

/** Value of `memory` that means all free memory. */
export const AUTO_MEMORY = "auto";

/** How many checkpoints, or adapters of averaged rounds, are kept by default. */
export const KEEP_LAST = 2;

/**
 * Least number of queries that attention computes at a time. With fewer, running the nodes would take longer than their arithmetic.
 */
const LEAST_ATTENTION_CHUNK = 16;
const CHUNKS = ATTENTION_CHUNKS.map(({ above, queries }) =>
  above === 0 ? String(queries) : `${queries} in rows of more than ${above}`,
);
/** More than anybody needs, but few enough that the number of steps stays an exact integer in JavaScript for any data. */
export const MAX_EPOCHS = 1_000_000;

/** Marks a list as read-only in its type. A schema's `readonly()` would also freeze it, and typed arrays cannot be frozen. */
function unwritten<T>(list: z.ZodArray<z.ZodType<T>>): z.ZodType<readonly T[]> {
  return list;
}

/** Rows in memory; each is checked later like a row of a file. */
const ROWS = unwritten(
  z.array(z.custom<object>((row) => typeof row === "object" && row !== null).meta({ type: "object" })).min(1),
);

const PATHS = z.union([PATH, z.array(PATH).min(1)]);
const DATA = `Training data: a file (${DATA_ENDINGS.join(", ")}, also .gz or .zst) or a folder of them; images: IDX files, or a folder of them; PATH=2 is used twice per epoch`;
const EVAL_DATA = "Held-out data: a file or a folder";
const SAMPLES = "File of prompts, one per line or row, to continue at each evaluation";
/** Prompts in memory: as lines of a file, or as rows. */
const PROMPTS = unwritten(
  z
    .array(z.union([z.string().min(1), z.custom<object>((row) => isRecord(row)).meta({ type: "object" })]))
    .min(1),
);

/** Settings that a command takes instead of the library's of the same name: it cannot be given rows. */
export const NAMED_DATA = {
  data: PATHS.describe(DATA),
  evalData: PATH.optional().describe(EVAL_DATA),
  samples: PATH.optional().describe(SAMPLES),
};

/** The settings by group of the help. */
export const SETTING_GROUPS = {
  model: {
    model: NAME_OR_PATH.describe("Base model: a name, a folder or a .gguf file"),
    initAdapter: PATH.optional().describe("Adapter folder to start from"),
    weights: z
      .enum(RESIDENCIES)
      .default("stored")
      .describe(
        "How frozen weights are held; stored: as in the file, each block read or dequantized when it runs; float32: all ready to compute, faster, 4 bytes per parameter (less unless --compute is f32)",
      ),
    base: z
      .enum(BASE_KINDS)
      .optional()
      .describe(
        "Quantize the matrices of a frozen float base to this type while loading, and keep them quantized in memory (docs/storage.md)",
      ),
    compute: z
      .enum(COMPUTE_NAMES)
      .default("f32")
      .describe("Arithmetic of the products with frozen weights (docs/storage.md)"),
    memory: sizeSetting(AUTO_MEMORY)
      .optional()
      .describe(
        "Memory limit of the run, such as 2GB, or auto for all free memory: sets checkpointing, batch size and accumulation, weights, compute and resident memory where they are not given (docs/memory.md)",
      ),
    residentMemory: sizeSetting()
      .optional()
      .describe(
        "Memory for parameters, their gradients and optimizer state, such as 200MB; the rest is kept on disk (docs/parameters-on-disk.md)",
      ),
    shardDtype: z
      .enum(SHARD_DTYPES)
      .optional()
      .describe(
        "Where --resident-memory rereads frozen blocks from: float32 (default): the model's files; float16: rounded copies on disk",
      ),
  },
  data: {
    data: z.union([PATHS, ROWS]).describe(`${DATA}; or rows`),
    evalData: z.union([PATH, ROWS]).optional().describe(`${EVAL_DATA}; or rows`),
    evalShare: z
      .number()
      .gt(0)
      .lt(1)
      .optional()
      .describe("Share of the training data to hold out, chosen at random"),
    columns: COLUMNS,
    skipFaulty: z.boolean().optional().describe("Skip unusable rows, and count them; default: off"),
    maxLength: maxLengthSetting("Maximum tokens per example; longer ones are truncated"),
    packing: z.boolean().default(false).describe("Pack several examples into each row of max-length tokens"),
    shuffle: z.boolean().default(true).describe("Reshuffle the examples in every epoch"),
    chatTemplate: CHAT_TEMPLATE,
    trainOn: z.enum(TRAIN_ON).default("assistant").describe("Turns of a conversation to train on"),
  },
  method: {
    method: methodChoice(METHODS),
    targetModules: z
      .union([z.string(), z.array(z.string())])
      .optional()
      .describe("Modules to adapt: names, all-linear, or a regular expression"),
    layers: z.array(z.int().min(0)).optional().describe("Layers to adapt, by number from 0; default: all"),
    objective: objectiveChoice(OBJECTIVES),
  },
  training: {
    epochs: z
      .number()
      .positive()
      .max(MAX_EPOCHS)
      .optional()
      .describe("Passes over the data; default: 3, unless steps are given"),
    steps: z.int().positive().optional().describe("Number of optimizer steps, instead of epochs"),
    batchSize: z.int().positive().default(4).describe("Examples (or packed rows) per micro-batch"),
    gradientAccumulationSteps: z.int().positive().default(1).describe("Micro-batches per optimizer step"),
    dataParallel: DATA_PARALLEL,
    optimizer: z.enum(names(OPTIMIZERS)).default("adamw").describe("Optimizer"),
    learningRate: z
      .number()
      .min(0)
      .optional()
      .describe("Peak learning rate; default: one that suits method, optimizer, objective and model width"),
    schedule: z.enum(names(SCHEDULES)).default("linear").describe("Learning-rate schedule"),
    warmupSteps: z
      .int()
      .min(0)
      .optional()
      .describe(
        `Warm-up steps, during which the learning rate rises from 0; default: ${100 * WARMUP_SHARE} % of the run, none with the ${oneOf.format(names(SCHEDULES.filter(({ warmupShare }) => warmupShare === 0)))} schedule`,
      ),
    weightDecay: z
      .number()
      .min(0)
      .default(0)
      .describe("Decoupled weight decay, also of trained norms and biases"),
    maxGradNorm: z.number().min(0).default(1).describe("Clip gradients to this norm; 0: no clipping"),
    dropbp: z
      .number()
      .min(0)
      .max(0.9)
      .optional()
      .describe("DropBP: share of the backward pass to skip in each step, in whole residual branches"),
    dropbpRates: z
      .enum(["uniform", ...names(SENSITIVITIES)])
      .optional()
      .describe(
        `How DropBP spreads the share over the branches once 10 % of the run is done: by how sensitive ${summaries(SENSITIVITIES).join(" or ")} are to each branch, or evenly; default: ${DEFAULT_SENSITIVITY.name}`,
      ),
    seed: z.int().min(0).default(0).describe("Random seed"),
    evalEvery: z.int().positive().optional().describe("Steps between evaluations; default: one epoch"),
    evalMetric: z
      .enum(names(EVAL_METRICS))
      .optional()
      .describe(
        "Metric that selects the best checkpoint; if given, that checkpoint is the result instead of the last one; default: loss",
      ),
    earlyStopping: z
      .int()
      .positive()
      .optional()
      .describe("Stop after this many evaluations without improvement; the best checkpoint is the result"),
    gradientCheckpointing: z
      .enum(["auto", "on", "keep-attention", "off"])
      .default("auto")
      .describe(
        "Recompute activations in the backward pass instead of keeping them; keep-attention: all but the outputs of attention, for long rows; auto: only when memory is short",
      ),
    activations: z
      .enum(names(ACTIVATION_FORMS))
      .default("float32")
      .describe(
        `How activations are kept for the backward pass: ${oneOf.format(summaries(ACTIVATION_FORMS))}`,
      ),
    attentionChunk: z
      .int()
      .min(LEAST_ATTENTION_CHUNK)
      .optional()
      .describe(`Queries of a row that attention processes at a time; default: ${CHUNKS.join(", ")} tokens`),
    threads: THREADS,
  },
  power: POWER_OPTIONS,
  output: {
    output: PATH.min(1).describe("Folder for the result"),
    saveEvery: z.int().positive().optional().describe("Steps between checkpoints; default: only at the end"),
    samples: z.union([PATH, PROMPTS]).optional().describe(`${SAMPLES}; or a list of prompts`),
    sampleTokens: z.int().positive().default(64).describe("Maximum number of new tokens per sample"),
    keepLast: z
      .int()
      .positive()
      .default(KEEP_LAST)
      .describe("Number of checkpoints to keep, besides the best"),
    log: z
      .array(z.enum(names(LOG_FORMATS)))
      .min(1)
      .default(["jsonl"])
      .describe(`Formats of the log in the output folder: ${summaries(LOG_FORMATS).join(", ")}`),
    logEvery: z.int().positive().default(1).describe("Steps between lines of the log"),
    resume: z
      .boolean()
      .default(false)
      .describe(
        "Resume from the newest checkpoint in the output folder; with more steps or epochs, this extends a finished run",
      ),
    overwrite: z.boolean().default(false).describe("Replace the run in the output folder"),
  },
};

/** Key → schema of each setting that is not a method's, an optimizer's or an objective's own. */
export const SETTINGS = {
  ...SETTING_GROUPS.model,
  ...SETTING_GROUPS.data,
  ...SETTING_GROUPS.method,
  ...SETTING_GROUPS.training,
  ...SETTING_GROUPS.power,
  ...SETTING_GROUPS.output,
};

/** Title → settings that the help shows under it; methods, optimizers and objectives have groups of their own. */
export const TRAIN_GROUPS: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  Object.entries(SETTING_GROUPS).map(([title, settings]) => [title, Object.keys(settings)]),
);
