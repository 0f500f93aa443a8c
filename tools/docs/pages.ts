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
  code,
  commandTable,
  defaultModules,
  errorTable,
  familyTable,
  methodTable,
  modelGroups,
  modelTable,
  objectiveTable,
  learningRateTable,
  optimizerTable,
  rateFactors,
  optionTable,
  rowForms,
  scheduleTable,
  table,
} from "./tables.ts";
import { jsonLineTable } from "./json-lines.ts";
import { page } from "./page.ts";
import { STEP_PICTURE, stepPicture, stepPictureLines, stepSpeedLine } from "./step-picture.ts";
import { storagePage } from "./storage-page.ts";

const commands = await loadCommands();

/** A table with one row for each set of default modules of families. */
function defaultTargets(method: Method): string {
  const families = new Map<string, string[]>();
  for (const family of FAMILIES) {
    const words = defaultModules(method, family).map(code).join(", ") || "none";
    families.set(words, [...(families.get(words) ?? []), code(family.modelType)]);
  }
  const rows = [...families].map(([words, names]) => [words, names.join(", ")]);
  if (rows.length === 1) return `Modules that are adapted when none are named: ${rows[0]![0]}.`;
  return table(["modules that are adapted when none are named", "families"], rows);
}

/** The files of a model that are read. */
const FILES = [
  table(
    ["file of a folder", "what is read"],
    [
      ["`config.json`", "family and sizes"],
      [
        "`model.safetensors`, or its shards with an index",
        "weights in float32, float16 or bfloat16; pickled files such as `pytorch_model.bin` are not read",
      ],
      ["`tokenizer.json`", "for models that read text"],
    ],
  ),
  "A GGUF file is one file with all of that.",
  "`architectures` in `config.json` says what a model is for. A name that ends in `ForSequenceClassification` makes a head over " +
    "the classes of `id2label`. Decoders read it at the last token of a text, encoders at the first.",
  "Rotary positions may be scaled by the rules `linear`, `llama3`, `yarn` and `longrope`. `dynamic` is read too: up to the " +
    "positions of the model it changes nothing, and no text is longer.",
  "Files that say two things are refused: a key that comes twice in a JSON file of settings, two added tokens of one id, a tied " +
    "head with other numbers than the embedding.",
];
/** Notes on all objectives, and how to start a run with one. */
const OBJECTIVE_NOTES = [
  'Every objective goes with every method. Without `--objective` a run takes `cross-entropy`, or what the head of its model [is for](classes.md#what-a-head-is-for). Rows of `{"text", "label"}` may have a [second text](classes.md#two-texts), `text_pair`.',
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
    "as it is while the run trains a copy; TRL does the same for a model that comes with an adapter. The folder must be there again, " +
    "and hold the same, when the run is resumed. A method that changes the model before anything is learned (`peqa` quantizes it) does not start at a reward of 0.",
  `\`\`\`sh
npx graft train --data examples/quickstart/train.jsonl --output runs/learned --steps 5
npx graft train --data answers.jsonl --output runs/then-preferred --objective dpo --init-adapter runs/learned --steps 5
\`\`\``,
  "`orpo` compares with nothing. It learns chosen answers and not their prompts, as all objectives do; TRL's trainer learns these prompts too, " +
    "so that its `nll_loss` is another.",
  "## What is told",
  "Steps and evaluations are logged with TRL's names: `rewards/chosen`, `rewards/rejected`, `rewards/margins`, `rewards/accuracies`, " +
    "`logps/chosen` and `logps/rejected`; `nll_loss`, `log_odds_ratio` and `log_odds_chosen` by `orpo`; `kl` by `kto`, whose rewards " +
    "are means over the good and over the bad answers, and left out of a step that has none of them.",
];

function methodsPage(): string {
  return page(
    "Methods",
    "A method says what is trained and how a projection is computed around its frozen weight. Shapes are those at the default options.",
    methodTable(),
    ...METHODS.flatMap((method) => [
      `## ${method.name}`,
      defaultTargets(method),
      optionTable(method.options),
    ]),
  );
}

function modelsPage(): string {
  return page(
    "Models",
    "A model is used when the `model_type` of its `config.json` (or the header of its GGUF file) is one of these families. A setting that graft does not know, and that would change the numbers, is an error that names it.",
    modelTable(),
    "## Modules",
    "`--target-modules` takes the names of modules in the last column, their whole paths, a regular expression for the whole path as Python reads it, or `all-linear`.",
    "## What is special",
    familyTable(),
    "## Files",
    ...FILES,
  );
}

function optimizersPage(): string {
  return page(
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
  );
}

function objectivesPage(): string {
  return page(
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
  );
}

function commandsPage(): string {
  return page(
    "Commands",
    "Every command has `--help` and `--json`. With `--json` standard output carries one JSON object per line and nothing else. " +
      "The exit status is 0 when the work is done, 1 when it failed, 2 when the call was wrong, 130 when Ctrl-C stopped it, 143 when SIGTERM did, 129 when its terminal was closed. " +
      "`serve` and `worker` end with 0 when a signal stops them in their work: they have finished or given back what they had.",
    commandTable(),
    ...commands.flatMap((command) => [
      `## graft ${command.name}`,
      `\`\`\`text\n${commandHelp(command, { width: PLAIN_WIDTH })}\n\`\`\``,
    ]),
    "## Lines of --json",
    "Units stand at the end of names (`_ms`, `_seconds`, `_bytes`, `_mb`). A command that fails or is stopped tells `error`; `generate --prompt` that is stopped tells `done` with the `finish_reason` `aborted`. `graft bench` writes what the benchmark does.",
    jsonLineTable(),
  );
}

function errorsPage(): string {
  return page(
    "Errors",
    'A failing command prints `error[CODE]: message` and mostly a hint; with `--json` also `{"event":"error","code","message","hint"}`. ' +
      "The library throws the class of the table, with the same `code`, `message` and `hint`.",
    errorTable(),
  );
}

/** Text of every generated page, by path from the root. */
export function generatedPages(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/methods.md", methodsPage()],
    ["docs/models.md", modelsPage()],
    ["docs/storage.md", storagePage()],
    ["docs/optimizers.md", optimizersPage()],
    ["docs/objectives.md", objectivesPage()],
    ["docs/commands.md", commandsPage()],
    ["docs/errors.md", errorsPage()],
    [STEP_PICTURE, stepPicture()],
  ]);
}

/** Generated parts of README.md by the name in their markers. */
export function readmeParts(): ReadonlyMap<string, string> {
  return new Map([
    ["methods", methodTable()],
    ["models", modelGroups()],
    ["objectives", objectiveTable()],
    ["optimizers", optimizerTable()],
    ["commands", commandTable()],
    ["picture", stepPictureLines()],
    ["speed", stepSpeedLine()],
  ]);
}
