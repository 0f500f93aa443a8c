/** @file The generated pages of docs/, and the generated parts of README.md. */
import { loadCommands } from "../../src/cli/commands.ts";
import { commandHelp } from "../../src/cli/help/help.ts";
import { PLAIN_WIDTH } from "../../src/cli/terminal/terminal.ts";
import { FAMILIES } from "../../src/models/families.ts";
import { OPTIMIZERS } from "../../src/optim/optimizers.ts";
import type { Method } from "../../src/peft/method.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { OBJECTIVES } from "../../src/train/objectives.ts";
import {
  commandTable,
  baseKinds,
  computeTable,
  defaultModules,
  errorTable,
  firstSitePath,
  methodTable,
  modelTable,
  objectiveTable,
  learningRateTable,
  optimizerTable,
  rateFactors,
  optionTable,
  readFrom,
  rowForms,
  scheduleTable,
  siteNames,
  storageTable,
  taskWords,
} from "./tables.ts";

const commands = await loadCommands();

const NOTE = "<!-- Written by `npm run docs`; change the program, not this page. -->";

function page(title: string, ...parts: readonly string[]): string {
  return `${[`# ${title}`, NOTE, ...parts].join("\n\n")}\n`;
}

function defaultTargets(method: Method): string {
  return FAMILIES.map((family) => {
    const words = defaultModules(method, family).map((word) => `\`${word}\``);
    return `${family.modelType}: ${words.length === 0 ? "none" : words.join(", ")}`;
  }).join("; ");
}

const READ =
  "Folders hold `config.json`, `model.safetensors` or its shards with an index (float32, float16 or bfloat16; pickled " +
  "files such as `pytorch_model.bin` are not read), and for text `tokenizer.json`. A GGUF file is one file with all of " +
  "that. What would leave a choice is refused: a key that comes twice in a JSON file of settings, two added tokens of one " +
  "id, a tied head with other numbers than the embedding. " +
  "`architectures` says what a model is for: a name that ends in `ForSequenceClassification` makes a head over the " +
  "classes of `id2label`, which decoders read at the last token of a text and encoders at the first. Rotary positions " +
  "may be scaled by the rules `linear`, `llama3`, `yarn` and `longrope`; `dynamic` changes nothing up to the positions of " +
  "the model, and no text is longer.";
/** What all objectives share, and how a run with one is started. */
const OBJECTIVE_NOTES = [
  "Every objective goes with every method. Without `--objective` a run takes `cross-entropy`, or `classification` for a model with classes.",
  `\`\`\`sh
cat > answers.jsonl <<'EOF'
{"prompt": "The lamp costs", "chosen": " 84 euros.", "rejected": " nothing."}
{"prompt": "The lamp is", "chosen": " round.", "rejected": " a lamp."}
EOF
npx graft train --data answers.jsonl --output runs/preferred --objective dpo --steps 5
\`\`\``,
  "## What a run is compared with",
  "`dpo` and `kto` compare the model with what the run started from. That is the base as it was loaded, also where `full`, " +
    "`bitfit` or `--modules-to-save` trains tensors of the base. With `--init-adapter` it is the base with that adapter, which stays " +
    "as it is while the run trains a copy; TRL does the same for a model that comes with an adapter. The folder must be there again " +
    "when the run is resumed. A method that changes the model before anything is learned (`peqa` quantizes it) does not start at a reward of 0.",
  `\`\`\`sh
npx graft train --data examples/quickstart/train.jsonl --output runs/learned --steps 5
npx graft train --data answers.jsonl --output runs/then-preferred --objective dpo --init-adapter runs/learned --steps 5
\`\`\``,
  "## What is told",
  "Steps and evaluations are logged with TRL's names: `rewards/chosen`, `rewards/rejected`, `rewards/margins`, `rewards/accuracies`, " +
    "`logps/chosen` and `logps/rejected`; `nll_loss`, `log_odds_ratio` and `log_odds_chosen` by `orpo`; `kl` by `kto`, whose rewards " +
    "are means over the good and over the bad answers, and left out of a step that has none of them.",
];

/** Text of every generated page, by path from the root. */
export function generatedPages(): ReadonlyMap<string, string> {
  return new Map([
    [
      "docs/methods.md",
      page(
        "Methods",
        "A method says what is trained and how a projection is computed around its frozen weight. Shapes are those at the default options.",
        methodTable(),
        ...METHODS.flatMap((method) => [
          `## ${method.name}`,
          `Modules that are adapted when none are named: ${defaultTargets(method)}.`,
          optionTable(method.options),
        ]),
      ),
    ],
    [
      "docs/models.md",
      page(
        "Models",
        "A model is used when its `config.json` (or the header of its GGUF file) names one of these families and holds no setting that graft does not compute: a setting that would change the numbers and is not known is an error that names it.",
        READ,
        modelTable(),
        ...FAMILIES.flatMap((family) => [
          `## ${family.modelType}`,
          `${family.traits} For: ${taskWords(family)}. Read from: ${readFrom(family)}.`,
          `\`--target-modules\` takes ${siteNames(family)
            .map((name) => `\`${name}\``)
            .join(", ")}, whole paths such as \`${firstSitePath(family)}\`, ` +
            "a regular expression for the whole path, or `all-linear`.",
        ]),
      ),
    ],
    [
      "docs/storage.md",
      page(
        "How weights are stored",
        "The base model stays in its file, a folder or a GGUF file, and one block at a time is read and dequantized to float32 while the one before runs; the system's cache of files makes that cheap. Codes of model folders, of graft's own form or GPTQ's ([PEQA](peqa.md)), are held in memory as they are. Trained numbers are always float32.",
        storageTable(),
        "Rows of a quantized embedding are looked up in this form, and a quantized output head is dequantized some rows at a time, so that neither is ever in float32 as a whole; tables of floats are, up to 256 MB.",
        "## A base in few bits",
        `\`--base\` of \`train\`, \`eval\`, \`generate\` and \`chat\` rounds a base of floats when it is loaded: ${baseKinds()}. Each matrix of the blocks is read and rounded some rows at a time when it is first used, and stays in memory so; embedding and output head are rounded to \`q8_0\`, because their errors reach every token. Norms, biases, routers, heads of classes and matrices whose rows do not fill blocks of the kind stay as they are. \`nf4\` holds the values of QLoRA (arXiv:2305.14314) without its second rounding, of the scales.`,
        "Adapters of every method can be trained on such a base, for every objective and family, but for those that train the matrices themselves (full) or codes of their own (PEQA). The folder says to what its base was rounded: give the same `--base` to `eval`, `generate` and `chat`, and what runs is what was trained; else a warning tells the difference. `graft merge` adds to the base as its files keep it, and `graft merge --type` rounds the sum. A GGUF file in few bits is used as it is, without `--base`, and nothing of it is held in memory.",
        "## How products are computed",
        "A file keeps a weight in one form; programs may multiply with it in another. `--compute` of `train`, `generate`, `chat` and `eval` chooses the arithmetic of products inside blocks with frozen weights. In int8 and direct it is also that of the output head, if it has a vocabulary and nothing in it is trained. Embedding, attention scores and what an adapter adds are in float32.",
        computeTable(),
        "### int8",
        "int8 is for training and for reading. Whole numbers of 8 bits multiply two to three times as fast as floats on processors with instructions for them (AVX-512 VNNI, AVX-VNNI). On x86 processors without them sums of signed products overflow, which a try at the first program finds: there both sides are unsigned, with the same results, 1.3 to 1.5 times as fast as floats on a Zen 3. Other processors may be slower; before training graft tries one product and warns of what it costs there.",
        "Weights are rounded once and held in two layouts, 2 bytes a weight, whatever `--weights` says. Each row of activations and of gradients is rounded with a scale of its own, and the rounded gradient stands for that of the model as it is computed. In the head the part of a gradient that comes from the label is exact. Probabilities are rounded up or down in turn from row to row: thousands of them are less than half a code each, and would vanish if rounded to the nearest. Held-out losses after 20 LoRA steps were within 0.63 % of float32's on three texts, five seeds each ([log.md](log.md)).",
        "A few channels of activations are much larger than the rest of their row, which shares their scale. So `train` first runs one micro-batch, the first, through the base in float32. From its largest activations and weights it finds a factor for each channel, as [SmoothQuant](https://arxiv.org/abs/2211.10438) does: what a product reads is multiplied by the factor, and its weights are divided by it before they are rounded. The factors follow from base, data and seed, so a resumed run finds the same. `eval` and `fisher` take the first four examples; `generate` and `chat`, which have none, use no factors. Nor do inputs of experts, since it is not known beforehand how many tokens they get.",
        "### w4",
        "w4 is for writing one token after another: a quarter of the memory is read for each. Tensors of 4-bit blocks of 32 (q4_0, q4_1) keep their values. All others, transposed matrices among them, are rounded as q4_0 rounds, and so are weights into which an adapter was merged. A matrix whose rows do not fill blocks of 32 and the router of experts stay in float32. Prompts take longer to read than in float32.",
        "### direct",
        "direct is for writing and serving from a quantized file. A matrix is multiplied by its own codes, none of which is rounded: those of 4 bits (q4_0, q4_1, q4_k) in 4 bits, those of q8_0, q5_0, q5_1, q2_k, q3_k, q5_k, q6_k, iq4_nl and iq4_xs in 8, with the scale and, where a kind has a minimum, the offset of each block in float32. Activations are rounded to 8 bits. f32, f16, bf16, nf4, codes of model folders and transposed matrices have no such blocks and are rounded as q8_0 rounds. The output head is multiplied in the same way.",
        "Where four or more texts are written at once, or 32 tokens of a prompt are read at a time, the whole numbers of int8 take over, smoothed by a short text of graft's own, which is read in float32 when they are first needed. All codes are then rounded once more, those of the head too where four texts or more have a token drawn, except one column in 48 of `down_proj`, which is multiplied in float32. So what is written may depend on how many texts are written beside it.",
        "`auto`, the default of `generate`, `chat` and `serve`, is direct for a base whose matrices have such codes, else f32. A server with `--state` writes in that arithmetic and trains on the same base in f32, unless `--train-compute` names another.",
        "### What is kept",
        "What direct and w4 make of a GGUF file is kept when a model that wrote text is closed, under `operands/` in graft's cache (`GRAFT_HOME`, else `~/.cache/graft`). Later runs map it instead of making it anew. It takes some 1.1 times the size of the file, and 4 GB at most for all files; those that were not used for the longest go first. It belongs to that very file, so a file that was written or copied anew is read anew, and each tensor has a checksum. `GRAFT_OPERANDS=off` keeps and takes nothing, and the folder may be deleted at any time. Windows, where graft maps no files, and Node before 20.15 keep none.",
      ),
    ],
    [
      "docs/optimizers.md",
      page(
        "Optimizers and schedules",
        optimizerTable(),
        ...OPTIMIZERS.flatMap(({ name, options }) => [`## ${name}`, optionTable(options)]),
        "## Learning rates",
        "What `--learning-rate` is when it is left out: the method's own for a model of 2048 units, times (2048 / width)^¾, with AdamW and cross-entropy.",
        learningRateTable(),
        `Other optimizers and objectives multiply it: ${rateFactors()}. The rates were found on SmolLM2-135M (576 units), not searched for on every model: try half and double where it matters.`,
        "## Schedules",
        "Without `--warmup-steps` the rate rises over the first twentieth of the run; with `constant` it does not rise.",
        "The learning rate as a share of `--learning-rate`, along a run of 100 steps of which 10 are warm-up:",
        scheduleTable(),
      ),
    ],
    [
      "docs/objectives.md",
      page(
        "Objectives",
        "An objective says what is learned from the data: it takes the log-probabilities of the labelled tokens and gives " +
          "the loss. A step is the same however it is cut into micro-batches. How rows are read: [data.md](data.md).",
        objectiveTable(),
        ...OBJECTIVE_NOTES,
        ...OBJECTIVES.flatMap((objective) => [
          `## ${objective.name}`,
          rowForms(objective.rows),
          optionTable(objective.options),
        ]),
      ),
    ],
    [
      "docs/commands.md",
      page(
        "Commands",
        "Every command has `--help` and `--json`. With `--json` standard output carries one JSON object a line and nothing else. " +
          "The exit status is 0 when the work is done, 1 when it failed, 2 when the call was wrong, 130 when Ctrl-C stopped it, 143 when SIGTERM did, 129 when its terminal was closed.",
        commandTable(),
        ...commands.flatMap((command) => [
          `## graft ${command.name}`,
          `\`\`\`text\n${commandHelp(command, { width: PLAIN_WIDTH })}\n\`\`\``,
        ]),
      ),
    ],
    [
      "docs/errors.md",
      page(
        "Errors",
        'A failing command prints `error[CODE]: message` and mostly a hint; with `--json` also `{"event":"error","code","message","hint"}`. ' +
          "The library throws the class of the table, with the same `code`, `message` and `hint`.",
        errorTable(),
      ),
    ],
  ]);
}

/** Generated parts of README.md by the name in their markers. */
export function readmeParts(): ReadonlyMap<string, string> {
  return new Map([
    ["methods", methodTable()],
    ["models", modelTable()],
    ["objectives", objectiveTable()],
    ["optimizers", optimizerTable()],
    ["commands", commandTable()],
  ]);
}
