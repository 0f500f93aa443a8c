/** @file Rules of the code that a machine can check: kinds are named in their own files only, headers, sizes of files. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { FAMILIES } from "../../src/models/families.ts";
import { OPTIMIZERS } from "../../src/optim/optimizers.ts";
import { SCHEDULES } from "../../src/optim/schedules.ts";
import { COMPUTE_NAMES } from "../../src/nn/computes.ts";
import { DTYPES } from "../../src/graph/dtype.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { STORAGES } from "../../src/quant/storages.ts";
import { OBJECTIVES } from "../../src/train/objectives.ts";
import { findCircles, readImports } from "./import-graph.ts";

const SRC = join(import.meta.dirname, "../../src");
const MEDIAN_LINES = 120;
const MAX_LINES = 400;
/** Families are put together of parts that others share. */
const MAX_FAMILY_LINES = 80;
const MAX_HEADER_LINES = 10;

const files = (readdirSync(SRC, { recursive: true }) as string[])
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
  .map((name) => name.replaceAll("\\", "/"))
  .map((name) => ({ name, text: readFileSync(join(SRC, name), "utf8") }));

/** Lines outside of comments that hold a word in quotes, or as a key of an object without them; a parameter of that name is no key. */
function linesNaming(text: string, word: string): string[] {
  const quoted = new RegExp(
    `["'\`]${word}["'\`]|(?<=^\\s*|[{,] ?)${word}(?=: (?!(?:number|string|boolean)\\b))`,
  );
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  return code.split("\n").filter((line) => quoted.test(line));
}

/** The list of a kind, its folder, and lines that may name one of it: a default is a choice that somebody has to make. */
const KINDS = [
  { what: "method", names: METHODS.map((m) => m.name), list: "peft/methods.ts", folder: "peft/methods" },
  { what: "optimizer", names: OPTIMIZERS.map((o) => o.name), list: "optim/optimizers.ts", folder: "optim" },
  { what: "schedule", names: SCHEDULES.map((s) => s.name), list: "optim/schedules.ts", folder: "optim" },
  {
    what: "objective",
    names: OBJECTIVES.map((o) => o.name),
    list: "train/objectives.ts",
    folder: "train/objectives",
  },
  {
    what: "arithmetic",
    // Some are also storage kinds or element types.
    names: COMPUTE_NAMES.filter((name) => !(name in STORAGES) && !(name in DTYPES)),
    list: "nn/computes.ts",
    folder: "nn/computes",
  },
  {
    what: "model family",
    names: FAMILIES.map((a) => a.modelType),
    list: "models/families.ts",
    folder: "models/families",
  },
];

/** Places where a kind's name is not the name of the kind: other formats' words, and defaults. */
const ALLOWED = [
  // Written by `npm run docs` from the lists.
  {
    file: "train/settings/train-input.ts",
    line: /^ {2}readonly /,
  },
  { file: /^(train\/settings\/setting-groups|cli\/commands\/data-show)\.ts$/, line: /\.default\("/ },
  // transformers' word for what a model's outputs are.
  { file: "models/config/classifier-config.ts", line: /^ {2}numbers: "/ },
  // The settings of one run.
  { file: "cli/commands/quickstart.ts", line: /^\s*(method|schedule): "/ },
  // The scaling of rotary tables, not the schedule.
  { file: "nn/rope/rope-scaling.ts", line: /kind|case/ },
  { file: "models/config/rope-config.ts", line: /kind|case/ },
  // A projection, in contrast to an embedding.
  { file: /^(models|peft|run)\//, line: /\bkind\b/ },
  // A kernel of two vectors, and a way of combining; not the schedule.
  { file: /^peft\/(methods\/snell\/kernels|algebra\/combinations)\.ts$/, line: /^\s*linear: / },
  // GGUF's own names of tokenizers, scalings and families.
  { file: /^format\/.*gguf/, line: /./ },
  { file: /^models\//, line: /^\s*architecture: "/ },
  // A form of calls has the name of the models that write it.
  { file: "engine/tool-calls/tool-formats/gemma.ts", line: /: ToolFormat = / },
  // What a folder is that has the names of the class which computes the model.
  { file: "models/families/exaone/files.ts", line: /^ {4}model_type: "/ },
  // Forms of calls, which are named as the models that write them.
  { file: /^engine\/tool-calls\/tool-formats\//, line: /^ {2}name: "/ },
  // Other programs' words for adapters of two matrices.
  { file: /^export\/adapter-forms\//, line: /adapter\.type|fine_tune_type/ },
];

/** Texts that are given as hints: after `hint:`, or in a constant of that name, also by a condition. */
const HINT =
  /\b(?:hint:|const hint\s*=|\w*HINT\w*\s*=)\s*(?:[^"'`;{}]*?\?\s*)?((?:"[^"\n]*"|'[^'\n]*'|`[^`]*`)(?:\s*:\s*(?:"[^"\n]*"|'[^'\n]*'|`[^`]*`))?)/g;

/** The lists whose entries are files of their own, and the files that say why one of them takes another. */
const LISTS = [
  "cli/commands.ts",
  "engine/tool-calls/tool-formats.ts",
  "export/adapter-forms.ts",
  "format/checkpoint/codes/codes-forms.ts",
  "hub/sources.ts",
  "models/families.ts",
  "nn/computes.ts",
  "optim/optimizers.ts",
  "peft/methods.ts",
  "quant/storages.ts",
  "server/routes.ts",
  "train/activations/forms.ts",
  "train/logs/log-formats.ts",
  "train/objectives.ts",
];
const IS_ANOTHER = [
  // Is the other, under a name of its own.
  "models/families/camembert.ts imports models/families/roberta.ts",
  // Reads the text part of a model as one of the other.
  "models/families/gemma3.ts imports models/families/gemma3-text.ts",
  "models/families/gemma4-unified.ts imports models/families/gemma4-text.ts",
  "models/families/gemma4.ts imports models/families/gemma4-text.ts",
  // Reads the text part of a model as one of the other.
  "models/families/idefics3.ts imports models/families/llama.ts",
  // A GGUF file says that it holds the other.
  "models/families/mistral.ts imports models/families/llama.ts",
  // Reads the text part of a model as one of two others.
  "models/families/mistral3.ts imports models/families/ministral3.ts",
  "models/families/mistral3.ts imports models/families/mistral.ts",
  // Is the other, under a name of its own.
  "models/families/qwen2-5-vl.ts imports models/families/qwen2-vl.ts",
  // Reads the text part of a model as one of the other.
  "models/families/qwen2-vl.ts imports models/families/qwen2.ts",
  // Reads the text part of a model as one of the other.
  "models/families/qwen3-5-moe.ts imports models/families/qwen3-5-moe-text.ts",
  // Reads the text part of a model as one of the other.
  "models/families/qwen3-5.ts imports models/families/qwen3-5-text.ts",
  // Reads the text part of a model as one of the other.
  "models/families/qwen3-vl.ts imports models/families/qwen3.ts",
  // Is the other, under a name of its own.
  "models/families/smolvlm.ts imports models/families/idefics3.ts",
  // Is the other, under a name of its own.
  "models/families/xlm-roberta.ts imports models/families/roberta.ts",
];

/** What a list puts together: the files that it imports from its folder of kinds, or from beside it, but for the contract. */
function entriesOf(imports: ReadonlyMap<string, readonly string[]>, list: string): readonly string[] {
  const below = list.replace(/\.ts$/, "/");
  const beside = list.replace(/[^/]+$/, "");
  const all = imports.get(list) ?? [];
  const own = all.filter((file) => file.startsWith(below));
  return own.length > 0
    ? own
    : all.filter((file) => file.startsWith(beside) && !isContract(readFileSync(join(SRC, file), "utf8")));
}

function isContract(text: string): boolean {
  return /@file (The )?[Cc]ontract /.test(text);
}

describe("the shape of the code", () => {
  for (const { what, names, list, folder } of KINDS) {
    for (const kind of names) {
      test(`only its own file and the list name ${what} "${kind}"`, () => {
        const allowed = (file: string, line: string): boolean =>
          ALLOWED.some(
            (a) => (typeof a.file === "string" ? a.file === file : a.file.test(file)) && a.line.test(line),
          );
        const found = files
          .filter(({ name }) => name !== list && name !== `${folder}/${kind.replaceAll("_", "-")}.ts`)
          .flatMap(({ name, text }) =>
            linesNaming(text, kind)
              .filter((line) => !allowed(name, line))
              .map((line) => `${name}: ${line.trim()}`),
          );
        assert.deepEqual(
          found,
          [],
          `lines that name it, which may stand in ALLOWED if they mean something else:\n${found.join("\n")}`,
        );
      });
    }
  }

  test("the entries of a list know nothing of each other: what two need lies beside the list", () => {
    const imports = readImports();
    const found = LISTS.flatMap((list) => {
      const entries = entriesOf(imports, list);
      assert.ok(entries.length > 1, list);
      const folder = list.replace(/\.ts$/, "/");
      const lying = files.map(({ name }) => name).filter((name) => `${dirname(name)}/` === folder);
      assert.deepEqual(
        lying.filter((name) => !entries.includes(name)),
        [],
        `${folder} has entries of the list alone`,
      );
      return entries.flatMap((entry) =>
        (imports.get(entry) ?? [])
          .filter((target) => entries.includes(target))
          .map((target) => `${entry} imports ${target}`),
      );
    });
    for (const pair of found) assert.ok(IS_ANOTHER.includes(pair), `${pair}: IS_ANOTHER does not say why`);
    assert.deepEqual(found.sort(), IS_ANOTHER);
  });

  test(`a family of models that read text is under ${MAX_FAMILY_LINES} lines`, () => {
    const ofFamilies = FAMILIES.filter(({ modelType }) => modelType !== "vit").map(
      ({ modelType }) => `models/families/${modelType.replaceAll("_", "-")}.ts`,
    );
    const lines = files
      .filter(({ name }) => ofFamilies.includes(name))
      .map(({ name, text }) => ({ name, count: text.split("\n").length - 1 }));
    assert.equal(lines.length, ofFamilies.length);
    assert.deepEqual(
      lines.filter(({ count }) => count >= MAX_FAMILY_LINES),
      [],
    );
  });

  test(`every file begins with a header of at most ${MAX_HEADER_LINES} lines`, () => {
    const bad = files.flatMap(({ name, text }) => {
      const header = /^(?:#!.*\n)?\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? "";
      const hasWords = /@file \S/.test(header);
      // Without the lines that only open and close the comment.
      const numLines = header.split("\n").filter((line) => !/^\s*(\/\*\*|\*\/)\s*$/.test(line)).length;
      return hasWords && numLines <= MAX_HEADER_LINES
        ? []
        : [`${name}: ${hasWords ? `${numLines} lines` : "no header"}`];
    });
    assert.deepEqual(bad, []);
  });

  test(`the median file is under ${MEDIAN_LINES} lines and none over ${MAX_LINES}`, () => {
    const lines = files.map(({ name, text }) => ({ name, count: text.split("\n").length - 1 }));
    const sorted = lines.map(({ count }) => count).sort((a, b) => a - b);
    assert.ok(sorted[Math.floor(sorted.length / 2)]! < MEDIAN_LINES);
    assert.deepEqual(
      lines.filter(({ count }) => count > MAX_LINES),
      [],
    );
  });

  test("no file has a name that says nothing", () => {
    const bad = files.filter(({ name }) => /(^|\/)(utils?|helpers?|common|misc|types)\.ts$/.test(name));
    assert.deepEqual(
      bad.map(({ name }) => name),
      [],
    );
  });

  test("a file lies in a folder, but for the two entries and what every layer uses", () => {
    const loose = files.map(({ name }) => name).filter((name) => !name.includes("/"));
    assert.deepEqual(loose.sort(), [
      "core.ts",
      "environment.ts",
      "errors.ts",
      "everywhere.ts",
      "index.ts",
      "printable.ts",
      "random.ts",
      "sha256.ts",
    ]);
  });

  test("test/ holds folders alone, each named after what is in it", () => {
    const loose = readdirSync(join(SRC, "../test"), { withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    assert.deepEqual(
      loose.map(({ name }) => name),
      [],
    );
  });

  test("every hint is a sentence that ends", () => {
    const texts = files.flatMap(({ name, text }) =>
      [...text.matchAll(HINT)].flatMap(([, found]) =>
        found!.split(/(?<=["'`])\s*:\s*(?=["'`])/).map((hint) => ({ name, hint })),
      ),
    );
    assert.ok(texts.length > 80, `${texts.length} hints`);
    assert.deepEqual(
      texts.filter(({ hint }) => !/[.!?]["'`]$/.test(hint) && hint.length > 2),
      [],
    );
  });

  test("no files import each other in a circle, types included", () => {
    assert.deepEqual(findCircles(readImports()), []);
  });
});
