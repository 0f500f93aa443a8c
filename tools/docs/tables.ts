/** @file Makes Markdown tables from the lists in the program, so that its abilities are written down only once, in code. */
import type { z } from "zod";

import { COMMANDS } from "../../src/cli/commands.ts";
import { flagsOf } from "../../src/cli/flags/flags.ts";
import { COMMAND_CODES, INTERRUPTED_STATUS, STOPPED_RUN } from "../../src/cli/report.ts";
import { CODES, type ErrorCode, exitStatus, GraftError } from "../../src/errors.ts";
import { usualPeftTakes } from "../../src/models/config/checkpoint-rules.ts";
import { autoClass } from "../../src/models/auto-classes.ts";
import { FAMILIES, openModel } from "../../src/models/families.ts";
import type { Family } from "../../src/models/family.ts";
import { MODEL_TASKS, type ModelTask } from "../../src/models/model-tasks.ts";
import type { Model } from "../../src/models/model.ts";
import type { SiteSpec } from "../../src/models/graphs/sites.ts";
import type { SiteRole } from "../../src/nn/builder.ts";
import { OPTIMIZERS } from "../../src/optim/optimizers.ts";
import { SCHEDULES } from "../../src/optim/schedules.ts";
import type { ConfigFile } from "../../src/peft/contract/adapter-file.ts";
import { type Method, configFileOf } from "../../src/peft/method.ts";
import { METHODS } from "../../src/peft/methods.ts";
import type { Compute } from "../../src/nn/compute.ts";
import { COMPUTES } from "../../src/nn/computes.ts";
import type { Storage } from "../../src/quant/storage.ts";
import { BASE_KINDS, STORAGES, WRITABLE_NAMES } from "../../src/quant/storages.ts";
import { DATA_KINDS } from "../../src/data/examples/data-kinds.ts";
import { suitableLearningRate } from "../../src/train/settings/learning-rate.ts";
import { OBJECTIVES } from "../../src/train/objectives.ts";
import { tinyConfigOf } from "../../test/tiny/configs.ts";

/** Formats rows as a Markdown table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

export const code = (text: string): string => `\`${text}\``;
const paperLink = ({ title, arxiv }: Method["paper"]): string =>
  /^\d/.test(arxiv) ? `[${title}](https://arxiv.org/abs/${arxiv})` : title;

// Sizes that differ from every constant of a method, so that words can replace them; multiples of a group, as in models.
const SIZES = { inFeatures: 64 * 157, outFeatures: 64 * 151 };
const SIZE_WORDS: ReadonlyMap<number, string> = new Map([
  [SIZES.inFeatures, "in"],
  [SIZES.outFeatures, "out"],
  [SIZES.outFeatures / 2, "out/2"],
]);
const SITE_ROLES: Readonly<Record<string, SiteRole>> = { "self_attn.k_proj": "key", "mlp.down_proj": "down" };
const SITES: readonly SiteSpec[] = Object.entries(SITE_ROLES).map(([name, role]) => ({
  name,
  kind: "linear",
  role,
  ...SIZES,
  bias: false,
  storedTransposed: false,
}));

/** Describes what a method trains, with the shapes at its default options in attention and in the feed-forward part. */
export function trainedBy(method: Method): string {
  if (method.kind === "base") {
    if (method.trains === "all") return "every tensor of the model";
    return method.trains.join(", ") || "rows of the tokens that are named";
  }
  const shapes = new Map<string, Set<string>>();
  for (const site of SITES) {
    const path = `model.layers.0.${site.name}`;
    const place = { path, spec: site, storage: "f32", groupSize: null, sites: SITES } as const;
    const options = method.configure(method.options.parse({}))(place);
    for (const { suffix, shape } of method.trained.specs(site, options)) {
      const text = `[${shape.map((size) => SIZE_WORDS.get(size) ?? size).join(", ")}]`;
      shapes.set(suffix, (shapes.get(suffix) ?? new Set()).add(text));
    }
  }
  return [...shapes].map(([suffix, texts]) => `${code(suffix)} ${[...texts].join(" or ")}`).join(", ");
}

/** The programs that read its folder, at default options and for modules without numbers. */
function readersOf({ options }: Method, file: ConfigFile<unknown, unknown>): string {
  return file.readBy(options.parse({}), [], usualPeftTakes) === "peft"
    ? "a PEFT folder"
    : "a folder that graft alone reads";
}

/** One row a method. */
export function methodTable(): string {
  return table(
    ["`--method`", "paper", "what is trained", "saved as", "merges into the weights"],
    METHODS.map((method) => {
      const file = configFileOf(method);
      return [
        code(method.name),
        paperLink(method.paper),
        trainedBy(method),
        file ? `${readersOf(method, file)}, type ${code(file.peftType)}` : "a model folder",
        method.kind === "adapter" && method.merge === "not-mergeable" ? "no" : "yes",
      ];
    }),
  );
}

/** One row an option of a schema. */
export function optionTable(options: z.ZodType): string {
  const flags = flagsOf({ options: options as z.ZodObject });
  if (flags.length === 0) return "It has no options.";
  return table(
    ["flag", "default", "meaning"],
    flags.map((flag) => [
      code(`--${flag.name}`),
      flag.defaultValue === undefined ? "" : code(JSON.stringify(flag.defaultValue)),
      flag.description + (flag.choices.length > 0 ? `: ${flag.choices.map(code).join(", ")}` : ""),
    ]),
  );
}

function smallModel({ modelType }: Family): Model {
  return openModel(tinyConfigOf(modelType));
}

/** A family's projections that adapters can sit on, by path inside the block. */
function sitesOf(model: Model): readonly SiteSpec[] {
  return model.layers.flatMap(({ sites }) => sites);
}

/** Path of a family's first projection inside the whole model. */
function firstSitePath(family: Family): string {
  const model = smallModel(family);
  return model.blockPrefix(0) + sitesOf(model)[0]?.name;
}

/** Names of some projections; paths instead of names that several kinds in `all` share. */
function namesOf(sites: readonly SiteSpec[], all: readonly SiteSpec[]): readonly string[] {
  const endOf = ({ name }: SiteSpec): string => name.slice(name.lastIndexOf(".") + 1);
  const names = sites.map((site) => {
    const isOneKind = all.every((other) => endOf(other) !== endOf(site) || other.role === site.role);
    return isOneKind ? endOf(site) : site.name;
  });
  return [...new Set(names)];
}

/** Names of the projections that adapters can sit on. */
function siteNames(family: Family): readonly string[] {
  const sites = sitesOf(smallModel(family));
  return namesOf(sites, sites);
}

/** Names of the modules that a method adapts by default. */
export function defaultModules(method: Method, family: Family): readonly string[] {
  if (method.kind === "base") return [];
  const { roles } = method.targets;
  if (roles === "all-linear") return [roles];
  const sites = sitesOf(smallModel(family));
  return namesOf(
    sites.filter(({ role }) => roles.includes(role)),
    sites,
  );
}

/** The tasks of a family's models, which depend on `architectures`. */
function tasksOf(family: Family): readonly ModelTask[] {
  const config = { ...tinyConfigOf(family.modelType), architectures: ["ForSequenceClassification"] };
  return [...new Set([smallModel(family).task, openModel(config).task])];
}

function taskWords(family: Family): string {
  return tasksOf(family)
    .map(
      (task) => MODEL_TASKS[task].words + (autoClass(family, task) === null ? " (not in transformers)" : ""),
    )
    .join(", ");
}

function readFrom({ gguf }: Family): string {
  return gguf === "not-in-gguf" ? "safetensors" : "safetensors, GGUF";
}

/** One row a model family. */
export function modelTable(): string {
  return table(
    ["`model_type`", "models", "for", "read from", "modules that adapters sit on"],
    FAMILIES.map((family) => [
      code(family.modelType),
      family.summary,
      taskWords(family),
      readFrom(family),
      siteNames(family).map(code).join(", "),
    ]),
  );
}

/** One row for all families with the same tasks and the same kinds of files. */
export function modelGroups(): string {
  const groups = Map.groupBy(FAMILIES, (family) => `${taskWords(family)}|${readFrom(family)}`);
  return table(
    ["for", "read from", "`model_type`"],
    [...groups].map(([key, families]) => [
      ...key.split("|"),
      families.map(({ modelType }) => code(modelType)).join(", "),
    ]),
  );
}

/** One row a family: its blocks, and the path of a module. */
export function familyTable(): string {
  return table(
    ["`model_type`", "what is special", "path of its first module"],
    FAMILIES.map((family) => [code(family.modelType), family.traits, code(firstSitePath(family))]),
  );
}

/** One row a storage kind. */
export function storageTable(): string {
  return table(
    ["name", "what it is", "bits per weight", "weights per block", "written", "type number in ggml files"],
    Object.values<Storage>(STORAGES).map((storage) => [
      code(storage.name),
      storage.summary,
      String((8 * storage.blockBytes) / storage.blockSize),
      storage.blockSize === 1 ? "" : String(storage.blockSize),
      WRITABLE_NAMES.some((name) => name === storage.name) ? "yes" : "no",
      storage.ggmlTypes.join(", "),
    ]),
  );
}

/** The kinds to which a base can be rounded. */
export function baseKinds(): string {
  return BASE_KINDS.map(code).join(", ");
}

/** One row an arithmetic of products. */
export function computeTable(): string {
  return table(
    ["`--compute`", "what it is"],
    Object.values<Compute>(COMPUTES).map(({ name, summary }) => [code(name), summary]),
  );
}

/** One row an optimizer. */
export function optimizerTable(): string {
  return table(
    ["`--optimizer`", "paper", "state per parameter"],
    OPTIMIZERS.map(({ name, paper, slots }) => [
      code(name),
      `[${paper.title}](${paper.url})`,
      `${slots.length} ${slots.length === 1 ? "number" : "numbers"}`,
    ]),
  );
}

/** One row an objective. */
export function objectiveTable(): string {
  return table(
    ["`--objective`", "what it does", "data", "paper"],
    OBJECTIVES.map(({ name, summary, rows, paper }) => [
      code(name),
      summary,
      DATA_KINDS[rows].summary,
      paper === null ? "" : `[${paper.title}](${paper.url})`,
    ]),
  );
}

/** Lists the keys of the rows of a kind of data. */
export function rowForms(kind: keyof typeof DATA_KINDS): string {
  return `Keys of its rows: ${DATA_KINDS[kind].forms.map(({ keys }) => code(keys)).join(", or ")}.`;
}

const WIDTHS = [576, 1024, 2048, 4096];

/** One row a method: its default learning rates, by the width of the model. */
export function learningRateTable(): string {
  const plain = { optimizer: { rateFactor: 1 }, objective: { rateFactor: 1 } };
  return table(
    ["`--method`", ...WIDTHS.map((width) => `width ${width}`)],
    METHODS.map((method) => {
      const own = { method, methodOptions: method.options.parse({}), ...plain };
      const rates = WIDTHS.map((width) => suitableLearningRate({ ...own, width }));
      return [code(method.name), ...rates.map((rate) => rate.toExponential(1))];
    }),
  );
}

/** The optimizers and objectives that change the default learning rate. */
export function rateFactors(): string {
  return [...OPTIMIZERS, ...OBJECTIVES]
    .flatMap(({ name, rateFactor }) => (rateFactor === 1 ? [] : [`${code(name)} by ${rateFactor}`]))
    .join(", ");
}

const SHARES = [0, 0.05, 0.1, 0.25, 0.5, 0.75, 1];

/** One row a schedule: shares of the peak learning rate along a run of 100 steps with 10 of warm-up. */
export function scheduleTable(): string {
  return table(
    ["`--schedule`", ...SHARES.map((share) => `${100 * share} %`)],
    SCHEDULES.map((schedule) => [
      code(schedule.name),
      ...SHARES.map((share) => schedule.factor(100 * share, 100, 10).toFixed(2)),
    ]),
  );
}

/** One row a command. */
export function commandTable(): string {
  return table(
    ["command", "what it does"],
    COMMANDS.map(({ name, summary }) => [code(`graft ${name}`), summary]),
  );
}

const CLASS_NAMES = {
  usage: "UsageError",
  format: "FormatError",
  capacity: "CapacityError",
  failed: "FailedError",
} as const;

/** One row an error code. */
export function errorTable(): string {
  return table(
    ["code", "meaning", "class", "exit status"],
    [
      ...Object.entries(CODES).map(([name, [kind, sentence]]) => [
        code(name),
        sentence,
        code(CLASS_NAMES[kind]),
        String(name === STOPPED_RUN ? INTERRUPTED_STATUS : exitStatus(new GraftError(name as ErrorCode, ""))),
      ]),
      ...Object.entries(COMMAND_CODES).map(([name, [status, sentence]]) => [
        code(name),
        sentence,
        "of the command alone",
        String(status),
      ]),
    ],
  );
}
