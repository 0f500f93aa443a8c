/** @file Written by `npm run docs` from the schema of `settings/options`: the settings of `train`, as editors show and check them. */

/** Settings of a training. Those that are told with names are options of a method, an optimizer or an objective of these names. */
export type TrainInput = {
  /** Base model: a name, a folder or a .gguf file */
  readonly model: string;
  /** Adapter folder to start from */
  readonly initAdapter?: string | undefined;
  /** How frozen weights are held; stored: as in the file, each block read or dequantized when it runs; float32: all ready to compute, faster, 4 bytes per parameter (less unless `compute` is f32); default: "stored" */
  readonly weights?: "stored" | "float32" | undefined;
  /** Quantize the matrices of a frozen float base to this type while loading, and keep them quantized in memory (docs/storage.md) */
  readonly base?: "q8_0" | "q4_0" | "q4_1" | "q5_0" | "q5_1" | "mxfp4" | "nf4" | undefined;
  /** Arithmetic of the products with frozen weights (docs/storage.md); default: "f32" */
  readonly compute?: "f32" | "int8" | "w4" | "direct" | undefined;
  /** Memory limit of the run, such as 2GB, or auto for all free memory: sets checkpointing, batch size and accumulation, weights, compute and resident memory where they are not given (docs/memory.md) */
  readonly memory?: string | undefined;
  /** Memory for parameters, their gradients and optimizer state, such as 200MB; the rest is kept on disk (docs/parameters-on-disk.md) */
  readonly residentMemory?: string | undefined;
  /** Where `residentMemory` rereads frozen blocks from: float32 (default): the model's files; float16: rounded copies on disk */
  readonly shardDtype?: "float32" | "float16" | undefined;
  /** Training data: a file (.jsonl, .ndjson, .json, .parquet, .csv, .tsv, .txt, .md, .markdown, also .gz or .zst) or a folder of them; images: IDX files, or a folder of them; PATH=2 is used twice per epoch; or rows */
  readonly data: string | readonly string[] | readonly object[];
  /** Held-out data: a file or a folder; or rows */
  readonly evalData?: string | readonly object[] | undefined;
  /** Share of the training data to hold out, chosen at random */
  readonly evalShare?: number | undefined;
  /** Names of columns in the data: prompt=question,completion=answer */
  readonly columns?: string | Readonly<Record<string, string>> | undefined;
  /** Skip unusable rows, and count them; default: off */
  readonly skipFaulty?: boolean | undefined;
  /** Maximum tokens per example; longer ones are truncated; default: 512, or the model's positions if they are fewer */
  readonly maxLength?: number | undefined;
  /** Pack several examples into each row of max-length tokens; default: false */
  readonly packing?: boolean | undefined;
  /** Reshuffle the examples in every epoch; default: true */
  readonly shuffle?: boolean | undefined;
  /** Chat template instead of the model's own: chatml, plain, alpaca, or a Jinja file */
  readonly chatTemplate?: string | undefined;
  /** Turns of a conversation to train on; default: "assistant" */
  readonly trainOn?: "assistant" | "last-assistant" | "all" | undefined;
  /** Fine-tuning method; default: "lora" */
  readonly method?: "lora" | "dora" | "ia3" | "road" | "road-lora" | "vera" | "snell" | "peqa" | "bitfit" | "trainable-tokens" | "full" | (string & {}) | undefined;
  /** Modules to adapt: names, all-linear, or a regular expression */
  readonly targetModules?: string | readonly string[] | undefined;
  /** Layers to adapt, by number from 0; default: all */
  readonly layers?: readonly number[] | undefined;
  /** Training objective; default: cross-entropy, or the one that suits a classification or regression head */
  readonly objective?: "cross-entropy" | "classification" | "multi-label-classification" | "regression" | "dpo" | "orpo" | "kto" | (string & {}) | undefined;
  /** Passes over the data; default: 3, unless steps are given */
  readonly epochs?: number | undefined;
  /** Number of optimizer steps, instead of epochs */
  readonly steps?: number | undefined;
  /** Examples (or packed rows) per micro-batch; default: 4 */
  readonly batchSize?: number | undefined;
  /** Micro-batches per optimizer step; default: 1 */
  readonly gradientAccumulationSteps?: number | undefined;
  /** Micro-batches of a step that run at once, each with its share of the threads and its own activations (docs/training.md); default: 1 */
  readonly dataParallel?: number | undefined;
  /** Optimizer; default: "adamw" */
  readonly optimizer?: "adamw" | "sgd" | "lion" | (string & {}) | undefined;
  /** Peak learning rate; default: one that suits method, optimizer, objective and model width */
  readonly learningRate?: number | undefined;
  /** Learning-rate schedule; default: "linear" */
  readonly schedule?: "constant" | "linear" | "cosine" | "cosine-to-tenth" | (string & {}) | undefined;
  /** Warm-up steps, during which the learning rate rises from 0; default: 5 % of the run, none with the constant schedule */
  readonly warmupSteps?: number | undefined;
  /** Decoupled weight decay, also of trained norms and biases; default: 0 */
  readonly weightDecay?: number | undefined;
  /** Clip gradients to this norm; 0: no clipping; default: 1 */
  readonly maxGradNorm?: number | undefined;
  /** DropBP: share of the backward pass to skip in each step, in whole residual branches */
  readonly dropbp?: number | undefined;
  /** How DropBP spreads the share over the branches once 10 % of the run is done: by how sensitive gradient norms or gradients are to each branch, or evenly; default: norm */
  readonly dropbpRates?: "uniform" | "norm" | "gradient" | undefined;
  /** Random seed; default: 0 */
  readonly seed?: number | undefined;
  /** Steps between evaluations; default: one epoch */
  readonly evalEvery?: number | undefined;
  /** Metric that selects the best checkpoint; if given, that checkpoint is the result instead of the last one; default: loss */
  readonly evalMetric?: "loss" | "perplexity" | "token-accuracy" | "accuracy" | "macro-f1" | "micro-f1" | "mse" | "pearson" | "spearman" | "reward-accuracy" | undefined;
  /** Stop after this many evaluations without improvement; the best checkpoint is the result */
  readonly earlyStopping?: number | undefined;
  /** Recompute activations in the backward pass instead of keeping them; keep-attention: all but the outputs of attention, for long rows; auto: only when memory is short; default: "auto" */
  readonly gradientCheckpointing?: "auto" | "on" | "keep-attention" | "off" | undefined;
  /** How activations are kept for the backward pass: as they are, rounded to float16 (half the memory), or in files in the output folder; default: "float32" */
  readonly activations?: "float32" | "float16" | "disk" | undefined;
  /** Queries of a row that attention processes at a time; default: 64, 128 in rows of more than 512, 256 in rows of more than 2048 tokens */
  readonly attentionChunk?: number | undefined;
  /** CPU threads; default: all */
  readonly threads?: number | undefined;
  /** Pause according to battery and temperature, as read from: auto (Linux sensors), a JSON file, or a command that prints JSON (docs/power.md) */
  readonly power?: string | undefined;
  /** Battery charge in percent below which training slows down; default: 20 */
  readonly powerBattery?: number | undefined;
  /** Temperature in °C above which training slows down; default: 42 */
  readonly powerTemperature?: number | undefined;
  /** Steps per second with a charged and with a low battery; 0: no limit; default: [2,0.5] */
  readonly powerBatteryRates?: readonly number[] | undefined;
  /** Steps per second when cool and when hot; 0: no limit; default: [2,0.5] */
  readonly powerTemperatureRates?: readonly number[] | undefined;
  /** Steps between readings of battery and temperature; default: 1 */
  readonly powerEvery?: number | undefined;
  /** Fixed pauses, which take precedence: 0-99:300,100-:100 is 300 ms in the first 100 steps, then 100 ms */
  readonly powerSchedule?: string | undefined;
  /** If battery and temperature cannot be read: run at full speed, or stop with a checkpoint; default: "run" */
  readonly powerMissing?: "run" | "stop" | undefined;
  /** Folder for the result */
  readonly output: string;
  /** Steps between checkpoints; default: only at the end */
  readonly saveEvery?: number | undefined;
  /** File of prompts, one per line or row, to continue at each evaluation; or a list of prompts */
  readonly samples?: string | readonly (string | object)[] | undefined;
  /** Maximum number of new tokens per sample; default: 64 */
  readonly sampleTokens?: number | undefined;
  /** Number of checkpoints to keep, besides the best; default: 2 */
  readonly keepLast?: number | undefined;
  /** Formats of the log in the output folder: JSON Lines, a table, a TensorBoard event file; default: ["jsonl"] */
  readonly log?: readonly ("jsonl" | "csv" | "tensorboard")[] | undefined;
  /** Steps between lines of the log; default: 1 */
  readonly logEvery?: number | undefined;
  /** Resume from the newest checkpoint in the output folder; with more steps or epochs, this extends a finished run; default: false */
  readonly resume?: boolean | undefined;
  /** Replace the run in the output folder; default: false */
  readonly overwrite?: boolean | undefined;
  /** lora, dora, road-lora: rank R of the two thin matrices; default 8. vera: rank R of the two shared matrices; default 256. snell: rank R of the two thin factors; default 8 */
  readonly rank?: number | undefined;
  /** lora, dora, road-lora: scale α; the update is multiplied by α/R; default 16. snell: initial value of the kernel's factor α; pieces alternate between α and -α; default 1 */
  readonly alpha?: number | undefined;
  /** lora, dora, road-lora, vera, snell: dropout on the inputs of the update, in training; default 0 */
  readonly dropout?: number | undefined;
  /** lora, dora: scale by α/√R instead of α/R; default false */
  readonly rslora?: boolean | undefined;
  /** lora, dora: initialization of A and B: A uniform or normal, or both from the weight; default "default". peqa: how a float base is quantized: over its whole range, or clipped where that is closer; default "clip" */
  readonly init?: "default" | "gaussian" | "pissa" | "olora" | "rtn" | "clip" | undefined;
  /** lora, dora: different ranks by module pattern; default {} */
  readonly rankPattern?: Readonly<Record<string, number>> | undefined;
  /** lora, dora: different scales by module pattern; default {} */
  readonly alphaPattern?: Readonly<Record<string, number>> | undefined;
  /** lora, dora, ia3, road, road-lora, vera, snell, peqa: modules that are trained whole and saved with the adapter, by name or path; default: the head, if the model classifies texts */
  readonly modulesToSave?: readonly string[] | null | undefined;
  /** lora, dora: biases of the base to train as well: none, all, or those of the adapted modules; default "none" */
  readonly bias?: "none" | "all" | "lora_only" | undefined;
  /** lora: parameters that get an adapter as well, by the ends of their paths: whole stacks of experts (gate_up_proj, down_proj), or a module's weight (gate.weight); default [] */
  readonly targetParameters?: readonly string[] | undefined;
  /** lora, dora, trainable-tokens: tokens whose embedding rows (and rows of a tied head) are trained too: ids, or texts of a single token; or lists by module, as {embed_tokens: [5, "<tool>"], lm_head: [5]}; default [] */
  readonly trainableTokenIndices?: readonly (number | string)[] | Readonly<Record<string, readonly (number | string)[]>> | undefined;
  /** lora: give the second matrix its own bias; default false */
  readonly loraBias?: boolean | undefined;
  /** ia3: targets whose input is scaled instead of their output, by name or by a regular expression for the whole path; default: the last ones of the feed-forward part */
  readonly feedforwardModules?: readonly string[] | string | null | undefined;
  /** road, road-lora: parameters for each pair of outputs: 2, 4 or 8; default "road_1" */
  readonly variant?: "road_1" | "road_2" | "road_4" | undefined;
  /** road, road-lora: outputs in a group, within which pairs are formed; default: the largest that fits, up to 64. peqa: number of inputs that share a scale, 0: all of a row; default: that of a quantized base, or 0 */
  readonly groupSize?: number | null | undefined;
  /** road: the pairs that are rotated; adapters of the two halves share no parameter, so they add up exactly; default "all" */
  readonly pairs?: "all" | "lower" | "upper" | undefined;
  /** road: tokens whose residual stream is rotated: all, or the last of a prompt (in training, before every answer that is trained on); default "all" */
  readonly positions?: "all" | "prompt-end" | undefined;
  /** vera: initial value of the vector d between the shared matrices; default 0.1 */
  readonly dInitial?: number | undefined;
  /** vera: seed of the shared matrices; default 0 */
  readonly projectionSeed?: number | undefined;
  /** vera: store the shared matrices in the adapter's file; otherwise readers regenerate them from the seed; default true */
  readonly saveProjection?: boolean | undefined;
  /** snell: function of two rows of the factors that gives an entry of the update; default "piecewise-linear" */
  readonly kernel?: "piecewise-linear" | "softmax" | "linear" | "polynomial" | "sigmoid" | "rbf" | undefined;
  /** snell: segments of a row, for the kernels piecewise-linear and softmax; default 2 */
  readonly pieces?: number | undefined;
  /** snell: train the kernel's own parameters too; default true */
  readonly learnKernel?: boolean | undefined;
  /** snell: what happens to entries above the threshold: multiplied by their distance or by their size, kept, kept as chosen at the start, or no threshold; default "soft" */
  readonly sparsify?: "soft" | "hard-magnitude" | "hard" | "fixed" | "none" | undefined;
  /** snell: share of the update's entries that are zero; default 0.9 */
  readonly sparsity?: number | undefined;
  /** snell: different shares by module pattern; default {} */
  readonly sparsityPattern?: Readonly<Record<string, number>> | undefined;
  /** snell: what soft differentiates in addition to the entry: its size and the threshold, its size, or nothing; default "threshold" */
  readonly through?: "threshold" | "magnitude" | "nothing" | undefined;
  /** snell: subtract the initial change, so that training starts at the base; doubles the file size; default false */
  readonly zeroStart?: boolean | undefined;
  /** snell: share of the rows of a batch to which the update is not applied, in training; default 0 */
  readonly dropPath?: number | undefined;
  /** peqa: bits of a code: 2, 3 or 4; default: those of a quantized base, or 4 */
  readonly bits?: number | null | undefined;
  /** peqa: what is trained: the scale of each group, or one factor for all scales of a row; default "group" */
  readonly scales?: "group" | "row" | undefined;
  /** peqa: which quantized weights keep their codes: all, or, as in older versions, those of types that graft writes; the others are quantized again; default "all" */
  readonly ownCodes?: "all" | "written" | undefined;
  /** adamw: decay of the running mean of gradients; default 0.9. lion: share of the momentum in the update direction; default 0.9 */
  readonly beta1?: number | undefined;
  /** adamw: decay of the running mean of squared gradients; default 0.999. lion: decay of the momentum; default 0.99 */
  readonly beta2?: number | undefined;
  /** adamw: added to the denominator; default 1e-8 */
  readonly epsilon?: number | undefined;
  /** sgd: decay of the momentum; default 0.9 */
  readonly momentum?: number | undefined;
  /** sgd: use Nesterov momentum; default false */
  readonly nesterov?: boolean | undefined;
  /** classification, multi-label-classification: class names, for a model without a classification head; default: those of the data */
  readonly classes?: readonly string[] | null | undefined;
  /** classification, multi-label-classification: number of classes, instead of names: the data numbers them from 0 */
  readonly numClasses?: number | null | undefined;
  /** dpo, kto: strength of the penalty for straying from the reference model; default 0.1. orpo: weight of the preference term; default 0.1 */
  readonly beta?: number | undefined;
  /** dpo: label smoothing: assumed share of pairs whose preference is reversed; default 0 */
  readonly labelSmoothing?: number | undefined;
  /** dpo: loss on the margin; default "sigmoid" */
  readonly lossType?: "sigmoid" | "hinge" | "ipo" | undefined;
  /** kto: weight of good answers; default 1 */
  readonly desirableWeight?: number | undefined;
  /** kto: weight of bad answers; default 1 */
  readonly undesirableWeight?: number | undefined;
};
