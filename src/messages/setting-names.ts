/** @file Names of settings: their spellings, the names that other tools use, and the setting that was probably meant. */
import { editDistance, nearest } from "./nearest.ts";

/** Turns `batchSize` into `batch-size`. */
export function kebabCase(key: string): string {
  return key.replaceAll(/([a-z0-9])(?=[A-Z])|([A-Z])(?=[A-Z][a-z])/g, "$1$2-").toLowerCase();
}

/** Converts camelCase and snake_case to kebab-case. */
export function plainName(name: string): string {
  return kebabCase(name.replaceAll("_", "-"));
}

/**
 * Each line: graft's name, with `=` and a value if the other names imply one, then the names that other tools use: peft, TRL and
 * transformers, mlx-lm, LLaMA-Factory, Axolotl, torchtune, llama.cpp, OpenAI. If a name is on several lines, the first line whose
 * setting the command has counts.
 */
const SYNONYMS = `
model: m model-name-or-path model-name model-id model-path base-model base-model-name-or-path base pretrained-model-name-or-path repo hf-repo checkpoint
adapter: adapter-path adapter-name-or-path adapter-file adapter-dir lora lora-path lora-weights lora-adapter lora-modules peft peft-model peft-path
output: o output-dir output-path out-dir save-path save-dir save-to adapter-path outfile target
init-adapter: adapter adapter-name-or-path resume-adapter-file lora-weights lora-model-dir
data: d dataset datasets dataset-name dataset-path dataset-dir data-path data-file data-dir train-data train-file train-dataset training-file train input
file: f data dataset data-path data-file input
eval-data: eval-dataset eval-file valid-data valid-file val-data val-file validation-data validation-file validation-split test-data
eval-share: val-size val-set-size validation-ratio test-size val-split eval-ratio
method: finetuning-type fine-tune-type finetune-type train-type peft-type peft-method tuner
method=dora: use-dora dora
method=full: full-finetune full-finetuning
objective: stage trainer rl pref-loss
classes: id2label label2id labels label-names label-list class-names class-labels
num-classes: num-labels num-label n-labels n-classes number-of-classes
rank: r lora-r lora-rank lora-dim adapter-rank
alpha: lora-alpha
dropout: lora-dropout
rslora: use-rslora use-rs-lora
init: init-lora-weights init-lora pissa-init
target-modules: lora-target lora-targets lora-target-modules lora-modules keys lora-keys
target-modules=all-linear: all-linear
modules-to-save: additional-target lora-modules-to-save
layers: layers-to-transform
learning-rate: lr peak-lr learning-rate-multiplier
schedule: lr-scheduler-type lr-scheduler lr-schedule scheduler lr-decay-style
warmup-steps: warmup warmup-iters num-warmup-steps lr-warmup-steps warm-up
weight-decay: wd
max-grad-norm: clip-grad grad-clip clip grad-clipping gradient-clipping gradient-clip-val clip-grad-norm grad-norm-clip
optimizer: optim optimiser opt
beta1: adam-beta1
beta2: adam-beta2
epsilon: eps adam-epsilon
beta: pref-beta dpo-beta rl-beta orpo-beta
loss-type: pref-loss dpo-loss
epochs: num-train-epochs num-epochs n-epochs epoch max-epochs
steps: iters iterations max-steps max-iters num-steps total-steps train-steps n-iters
batch-size: b bs per-device-train-batch-size micro-batch-size train-batch-size device-batch-size batch batchsize
gradient-accumulation-steps: grad-accum grad-accumulation-steps grad-accumulation gradient-accumulation grad-accum-steps accumulate-grad-batches accum accum-steps
max-length: max-seq-length max-seq-len max-sequence-length sequence-len seq-length seq-len cutoff-len block-size context-length ctx-size max-tokens model-max-length max-input-length length
max-new-tokens: max-tokens n-predict max-length n tokens num-predict max-completion-tokens max-generation-length
temperature: temp t
prompt: p text input
system: s system-prompt system-message default-system
train-on=assistant: mask-prompt completion-only-loss assistant-only-loss
train-on=last-assistant: mask-history
train-on=all: train-on-prompt train-on-inputs
packing: sample-packing pack
eval-every: eval-steps steps-per-eval eval-interval val-interval val-steps
save-every: save-steps save-interval checkpoint-every
log-every: logging-steps log-steps steps-per-report log-interval
keep-last: save-total-limit keep-checkpoints max-checkpoints
early-stopping: early-stopping-patience patience
eval-metric: metric-for-best-model best-metric
gradient-checkpointing: grad-checkpoint grad-checkpointing checkpoint-activations activation-checkpointing use-gradient-checkpointing
activations=disk: offload-activations activation-offloading cpu-offload-activations
resume: resume-from-checkpoint resume-from continue auto-resume-from-checkpoints
overwrite: overwrite-output-dir force f yes y
threads: num-threads n-threads cpu-threads num-workers j t
seed: random-seed data-seed random-state
chat-template: template chat-template-path prompt-template chat-template-name chat-template-file
dtype: outtype quantization quantize quant type torch-dtype precision export-quantization-bit
to: format output-format export-gguf
config: settings config-file
merge-adapter: merge merge-lora
`;

/** Settings of other tools that graft does not have: what to do instead. */
const WITHOUT = `
load-in-4bit load-in-8bit quantization quantization-bit quantization-method quant-method qlora quantize bnb-4bit-quant-type: Weights are kept as they are stored: give a quantized .gguf file as --model, or let --base nf4, q4_0 or q8_0 quantize a float base (train, eval, generate, chat, serve).
bf16 fp16 tf32 fp32 precision mixed-precision dtype torch-dtype compute-dtype amp: graft computes in float32 and keeps weights as they are stored; there is nothing to set.
gpus num-gpus gpu n-gpu devices device device-map cuda deepspeed fsdp ddp-backend flash-attn flash-attention attn-implementation use-flash-attn use-cpu no-cuda n-gpu-layers ngl: graft computes on the processor; there is nothing to set.
report-to wandb wandb-project wandb-run-name project-name logging-dir run-name use-wandb swanlab: --log jsonl,csv,tensorboard writes logs to the output folder, and --json writes every event to standard output.
warmup-ratio: Give a number of steps as --warmup-steps.
num-layers lora-layers: --layers takes the numbers of the blocks, such as --layers 28,29.
do-train do-eval do-predict: graft train trains, graft eval evaluates.
push-to-hub hub-model-id hub-token: graft push uploads a result to the hub.
trust-remote-code: graft runs no code from models; there is nothing to set.
`;

function readRows(table: string) {
  return table
    .trim()
    .split("\n")
    .map((line) => {
      const at = line.indexOf(": ");
      return { left: line.slice(0, at), right: line.slice(at + 2) };
    });
}

const SYNONYM_ROWS = readRows(SYNONYMS).map(({ left, right }) => {
  const [name = "", value] = left.split("=");
  return { name, value: value ?? null, others: right.split(" ") };
});
export const SYNONYM_TARGETS: readonly string[] = SYNONYM_ROWS.map(({ name }) => name);
const WITHOUT_ROWS = readRows(WITHOUT).map(({ left, right }) => ({ others: left.split(" "), advice: right }));

/** The setting that was probably meant. */
interface NameMatch {
  /** Its name in the list of known names. */
  readonly name: string;
  /** A value that the unknown name implies; null: its own value stays. */
  readonly value: string | null;
  /** Whether other tools use the unknown name, so that it is not a misspelling. */
  readonly isSynonym: boolean;
  /** The name, with the value if there is one. */
  readonly text: string;
}

/** Whether each part of `short` begins a part of `long`, in order: `grad-accum` and `gradient-accumulation-steps`. */
function abbreviates(short: string, long: string): boolean {
  const parts = long.split("-");
  return short.split("-").every((part) => {
    const at = parts.findIndex((candidate) => candidate.startsWith(part));
    if (at >= 0) parts.splice(0, at + 1);
    return at >= 0;
  });
}

const MIN_ABBREVIATION = 3;

/** Finds the known name that an unknown one may mean: another spelling, a synonym, an abbreviation or a typing error. */
export function nearestName(unknown: string, known: readonly string[]): NameMatch | null {
  const name = plainName(unknown);
  const find = (plain: string | null): string | undefined =>
    known.find((candidate) => plain !== null && plainName(candidate) === plain);
  const match = (found: string): NameMatch => ({ name: found, value: null, isSynonym: false, text: found });
  const same = find(name) ?? find(name.replace(/^no-/, ""));
  if (same !== undefined) return match(same);
  for (const row of SYNONYM_ROWS) {
    const found = row.others.includes(name) ? find(row.name) : undefined;
    if (found === undefined) continue;
    const { value } = row;
    return { name: found, value, isSynonym: true, text: value === null ? found : `${found} ${value}` };
  }
  // A name with its own advice is no typing error.
  if (adviceFor(name) !== null) return null;
  const plain = known.map(plainName);
  const slip = plain.find((candidate) => editDistance(name, candidate, 1) === 1);
  const longer =
    name.length < MIN_ABBREVIATION ? [] : plain.filter((candidate) => abbreviates(name, candidate));
  const found = find(slip ?? (longer.length === 1 ? longer[0] : null) ?? nearest(name, plain));
  return found === undefined ? null : match(found);
}

/** What to do instead of a setting that only other tools have; null: the setting is unknown. */
export function adviceFor(unknown: string): string | null {
  const name = plainName(unknown).replace(/^no-/, "");
  return WITHOUT_ROWS.find(({ others }) => others.includes(name))?.advice ?? null;
}
