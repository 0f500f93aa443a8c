/** @file The generated pages of docs/, and the generated parts of README.md. */
import { readFileSync } from "node:fs";

import { COMMANDS } from "../src/cli/commands.ts";
import { commandHelp } from "../src/cli/help.ts";
import type { Architecture } from "../src/models/architecture.ts";
import { ARCHITECTURES } from "../src/models/architectures.ts";
import { OPTIMIZERS } from "../src/optim/optimizers.ts";
import { METHODS } from "../src/peft/methods.ts";
import {
  commandTable,
  errorTable,
  methodTable,
  modelTable,
  optimizerTable,
  optionTable,
  scheduleTable,
  siteNames,
  sitePaths,
  storageTable,
} from "./doc-tables.ts";

const NOTE = "<!-- Written by `npm run docs`; change the program, not this page. -->";

function page(title: string, ...parts: readonly string[]): string {
  return `${[`# ${title}`, NOTE, ...parts].join("\n\n")}\n`;
}

/** Takes the first sentence of the header of a family's file. */
function describeFamily({ modelType }: Architecture): string {
  const source = readFileSync(new URL(`../src/models/${modelType}.ts`, import.meta.url), "utf8");
  const found = /@file (.+?)\.?\n/.exec(source)?.[1];
  if (found === undefined) throw new Error(`internal: src/models/${modelType}.ts has no header`);
  return found;
}

function defaultTargets(methodName: string): string {
  const method = METHODS.find(({ name }) => name === methodName);
  return ARCHITECTURES.map(({ modelType }) => {
    const targets = method?.defaultTargets(modelType) ?? [];
    const words = typeof targets === "string" ? [targets] : targets;
    return `${modelType}: ${words.length === 0 ? "none" : words.map((word) => `\`${word}\``).join(", ")}`;
  }).join("; ");
}

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
          `Modules that are adapted when none are named: ${defaultTargets(method.name)}.`,
          optionTable(method.options),
        ]),
      ),
    ],
    [
      "docs/models.md",
      page(
        "Models",
        "A model is used when its `config.json` (or the header of its GGUF file) names one of these families and holds no setting that graft does not compute.",
        modelTable(describeFamily),
        ...ARCHITECTURES.flatMap((architecture) => [
          `## ${architecture.modelType}`,
          `\`--target-modules\` takes ${siteNames(architecture)
            .map((name) => `\`${name}\``)
            .join(
              ", ",
            )}, whole paths such as \`${architecture.names.blockPrefix(0)}${sitePaths(architecture)[0]}\`, ` +
            "a regular expression for the whole path, or `all-linear`.",
        ]),
      ),
    ],
    [
      "docs/storage.md",
      page(
        "How weights are stored",
        "The base model stays in memory in the form in which its file keeps it, and one block at a time is widened to float32. Trained numbers are always float32.",
        storageTable(),
      ),
    ],
    [
      "docs/optimizers.md",
      page(
        "Optimizers and schedules",
        optimizerTable(),
        ...OPTIMIZERS.flatMap(({ name, options }) => [`## ${name}`, optionTable(options)]),
        "## Schedules",
        "The learning rate as a share of `--learning-rate`, along a run of 100 steps of which 10 are warm-up:",
        scheduleTable(),
      ),
    ],
    [
      "docs/commands.md",
      page(
        "Commands",
        "Every command has `--help` and `--json`. With `--json` standard output carries one JSON object a line and nothing else. " +
          "The exit status is 0 when the work is done, 1 when it failed, 2 when the call was wrong, 130 when it was stopped.",
        commandTable(),
        ...COMMANDS.flatMap((command) => [
          `## graft ${command.name}`,
          `\`\`\`text\n${commandHelp(command)}\n\`\`\``,
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
    ["models", modelTable(describeFamily)],
    ["storage", storageTable()],
    ["optimizers", optimizerTable()],
    ["commands", commandTable()],
  ]);
}
