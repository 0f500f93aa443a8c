/** @file Settings of folders that graft writes are numbers of the kinds that transformers' strict configurations take. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openCheckpoint, writeModel } from "../../src/format/by-path.ts";
import { readConfig } from "../../src/format/checkpoint/config-file.ts";
import { memoryFolder } from "../../src/format/files/memory-folder.ts";
import { openModel } from "../../src/models/families.ts";
import type { RawConfig } from "../../src/models/family.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { goldenJson, goldenPath } from "./golden-files.ts";

/** What a configuration refuses as whole numbers, and what as floats. */
interface Kinds {
  readonly floats: readonly string[];
  readonly lists: readonly string[];
  readonly integers: readonly string[];
}

const KINDS = goldenJson<Record<string, Kinds>>("configs", "numbers.json");
const root = temporaryFolder();

/** The kinds of a configuration's numbers. */
function kindsOf(config: RawConfig): Kinds {
  const modelType = String(config["model_type"]);
  const kinds = KINDS[modelType];
  assert.ok(
    kinds,
    `Cannot check ${modelType}: run make.py in test/golden/data/configs, which lists its kinds`,
  );
  return kinds;
}

/** A configuration as Python writes it: some of its settings are floats. */
const asPython = (config: RawConfig, floats: readonly string[]): string =>
  JSON.stringify(config).replace(/"(\w+)":(-?\d+)(?=[,}])/g, (found, name: string) =>
    floats.includes(name) ? `${found}.0` : found,
  );

async function written(
  config: Record<string, unknown>,
  floatSettings: ReadonlySet<string> | undefined,
): Promise<string> {
  const path = join(root, "written");
  await writeModel(path, {
    config,
    floatSettings,
    generationConfig: null,
    tokenizerFiles: null,
    tensors: [],
  });
  return readFileSync(join(path, "config.json"), "utf8");
}

/** Asserts that each setting of the text is a number of the kind that its configuration takes; tells of how many that was. */
function assertKinds(text: string, { floats, lists, integers }: Kinds): number {
  let numFloats = 0;
  for (const [line, name] of text.matchAll(/^\s*"(\w+)": (?:-?\d.*|\[[^[\]]*\])/gm)) {
    const numbers = [...line.matchAll(/(?<=[\s:])-?\d[\d.e+-]*/g)].map(([number]) => number);
    for (const number of numbers) {
      if (floats.includes(name!) || lists.includes(name!)) assert.match(number, /[.e]/, line);
      else if (integers.includes(name!)) assert.doesNotMatch(number, /[.e]/, line);
    }
    if (floats.includes(name!)) numFloats++;
  }
  return numFloats;
}

for (const [name, config] of Object.entries(TINY_CONFIGS)) {
  test(`${name} is written with floats where its configuration takes them alone`, async () => {
    const own = openModel(config).checkpoint.ownConfig(config);
    const kinds = kindsOf(own);
    const settings = kinds.floats.map((key) => [key, 2] as const);
    const lists = kinds.lists.map((key) => [key, [1, 1]] as const);
    const whole = { ...own, ...Object.fromEntries(settings), ...Object.fromEntries(lists) };
    assertKinds(await written(own, undefined), kinds);
    assert.ok(assertKinds(await written(whole, undefined), kinds) > 0);
    const source = memoryFolder("m", {
      "config.json": asPython({ ...whole, new_setting: 3 }, [...kinds.floats, "new_setting"]),
    });
    const read = await readConfig(source);
    const text = await written(read.settings, read.floats);
    assertKinds(text, kinds);
    assert.match(text, /"new_setting": 3\.0,/);
  });
}

describe("read of a GGUF file, it is written with floats as well:", () => {
  for (const file of readdirSync(goldenPath("gguf")).filter((name) => name.endsWith(".gguf"))) {
    test(file, async () => {
      const checkpoint = await openCheckpoint(goldenPath("gguf", file));
      await checkpoint.close();
      const { config } = checkpoint;
      assertKinds(await written(config, undefined), kindsOf(config));
    });
  }
});
