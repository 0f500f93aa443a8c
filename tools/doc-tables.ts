/** @file Markdown tables made from the lists of the program: what it can do is written down once, in code. */
import type { z } from "zod";

import { COMMANDS } from "../src/cli/commands.ts";
import { flagsOf } from "../src/cli/flags.ts";
import { CODES, type ErrorCode, exitStatus, GraftError } from "../src/errors.ts";
import { GGUF_ARCHITECTURES } from "../src/format/checkpoint/gguf-names.ts";
import type { Architecture, SiteSpec, TensorRole } from "../src/models/architecture.ts";
import { ARCHITECTURES } from "../src/models/architectures.ts";
import { OPTIMIZERS } from "../src/optim/optimizers.ts";
import { SCHEDULES } from "../src/optim/schedules.ts";
import type { Method } from "../src/peft/method.ts";
import { METHODS } from "../src/peft/methods.ts";
import type { Storage } from "../src/quant/storage.ts";
import { STORAGES } from "../src/quant/storages.ts";

/** Sets rows as a Markdown table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

const code = (text: string): string => `\`${text}\``;
const paperLink = ({ title, arxiv }: Method["paper"]): string =>
  /^\d/.test(arxiv) ? `[${title}](https://arxiv.org/abs/${arxiv})` : title;

const ROLES: readonly TensorRole[] = ["embedding", "head", "norm", "weight", "bias"];
// Sizes that no constant of a method equals, so that they can be turned back into words; in whole groups, as models have.
const SIZES = { inFeatures: 64 * 157, outFeatures: 64 * 151 };
const SIZE_WORDS: ReadonlyMap<number, string> = new Map([
  [SIZES.inFeatures, "in"],
  [SIZES.outFeatures, "out"],
  [SIZES.outFeatures / 2, "out/2"],
]);
const SITES: readonly SiteSpec[] = ["self_attn.k_proj", "mlp.down_proj"].map((name) => ({
  name,
  kind: "linear",
  ...SIZES,
  bias: false,
}));

/** Says what a method trains, with the shapes at its default options in attention and in the feed-forward part. */
export function trainedBy(method: Method): string {
  const shapes = new Map<string, Set<string>>();
  for (const site of SITES) {
    const path = `model.layers.0.${site.name}`;
    const place = { path, spec: site, storage: "f32", sites: SITES } as const;
    const options = method.configure(method.options.parse({}), place);
    for (const { suffix, shape } of method.parameters(site, options)) {
      const text = `[${shape.map((size) => SIZE_WORDS.get(size) ?? size).join(", ")}]`;
      shapes.set(suffix, (shapes.get(suffix) ?? new Set()).add(text));
    }
  }
  const tensors = [...shapes].map(([suffix, texts]) => `${code(suffix)} ${[...texts].join(" or ")}`);
  const roles = ROLES.filter((role) =>
    method.trainsBase({ name: "x", shape: [1], role }, method.options.parse({})),
  );
  const base = roles.length === ROLES.length ? "every tensor of the model" : roles.join(", ");
  return [...tensors, base].filter((part) => part !== "").join(", ");
}

/** One row a method. */
export function methodTable(): string {
  return table(
    ["`--method`", "paper", "what is trained", "saved as", "merges into the weights"],
    METHODS.map((method) => [
      code(method.name),
      paperLink(method.paper),
      trainedBy(method),
      method.peftType === "none" ? "a model folder" : `a PEFT folder, type ${code(method.peftType)}`,
      method.merge === "not-mergeable" ? "no" : "yes",
    ]),
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

/** Paths inside a block of the projections that adapters can sit on. */
export function sitePaths(architecture: Architecture): readonly string[] {
  const config = architecture.readConfig({
    model_type: architecture.modelType,
    vocab_size: 256,
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
  });
  return architecture.sites(config).map(({ name }) => name);
}

/** Names of the projections that adapters can sit on; paths where names alone are the same. */
export function siteNames(architecture: Architecture): readonly string[] {
  const paths = sitePaths(architecture);
  const ends = paths.map((path) => path.slice(path.lastIndexOf(".") + 1));
  return paths.map((path, i) => {
    const end = ends[i] as string;
    return ends.indexOf(end) === ends.lastIndexOf(end) ? end : path;
  });
}

/** One row a model family; `describe` gives the first sentence of the family's file. */
export function modelTable(describe: (architecture: Architecture) => string): string {
  return table(
    ["`model_type`", "models", "read from", "modules that adapters sit on"],
    ARCHITECTURES.map((architecture) => [
      code(architecture.modelType),
      describe(architecture),
      `safetensors${architecture.modelType in GGUF_ARCHITECTURES ? ", GGUF" : ""}`,
      siteNames(architecture).map(code).join(", "),
    ]),
  );
}

/** One row a storage kind. */
export function storageTable(): string {
  return table(
    ["name", "what it is", "bits a weight", "weights that share a scale", "type number in ggml files"],
    Object.values<Storage>(STORAGES).map((storage) => [
      code(storage.name),
      storage.summary,
      String((8 * storage.blockBytes) / storage.blockSize),
      storage.blockSize === 1 ? "" : String(storage.blockSize),
      storage.ggmlTypes.join(", "),
    ]),
  );
}

/** One row an optimizer. */
export function optimizerTable(): string {
  return table(
    ["`--optimizer`", "paper", "state, in numbers a parameter"],
    OPTIMIZERS.map(({ name, paper, slots }) => [
      code(name),
      `[${paper.title}](${paper.url})`,
      String(slots.length),
    ]),
  );
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
  dead: "GraftError",
  failed: "FailedError",
} as const;

/** One row an error code. */
export function errorTable(): string {
  return table(
    ["code", "meaning", "class", "exit status"],
    Object.entries(CODES).map(([name, [kind, sentence]]) => [
      code(name),
      sentence,
      code(CLASS_NAMES[kind]),
      String(exitStatus(new GraftError(name as ErrorCode, ""))),
    ]),
  );
}
