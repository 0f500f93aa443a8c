/** @file The experiments: their texts are right and the same for a seed, and each runs through at a tiny size. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openCheckpoint, writeModel } from "../src/format/by-path.ts";
import { dequantize } from "../src/quant/stored-tensor.ts";
import { type HostTensor, hostTensor } from "../src/runtime/host-tensor.ts";
import { sampled } from "../test/matrix/sampled.ts";
import { temporaryFolder } from "../test/tiny/model.ts";
import { analogy } from "./analogy.ts";
import { SMALL_MODEL, onSmallModel } from "./command.ts";
import { SETTINGS, composition } from "./composition.ts";
import { distribution } from "./distribution.ts";
import { multitask } from "./multitask.ts";
import { type Result, toSvg, toTable } from "./report.ts";
import { rounding } from "./rounding.ts";
import { snellRank } from "./snell-rank.ts";
import { COUNTS, HABIT, HARBOUR, VILLAGE, countRows, factRows, moodRows, storyTexts } from "./texts.ts";
import { spam } from "./spam.ts";
import { unlearning } from "./unlearning.ts";

/** Each measures every singular value of a model. */
const RANKED = sampled(["hard", "LoRA"], (_, i) => i === 0);
const MODEL = await firstBlocks(2);
const TINY = { ...onSmallModel({ train: 8, test: 1, steps: 2 }), batchSize: 4, model: MODEL };

/** The small model without its other blocks, which do what these do; returns its folder. */
async function firstBlocks(numBlocks: number): Promise<string> {
  const folder = temporaryFolder();
  const checkpoint = await openCheckpoint(SMALL_MODEL);
  const tensors = new Map<string, HostTensor>();
  for (const { name, shape } of checkpoint.tensors.values()) {
    const [, layer = 0] = /^model\.layers\.(\d+)\./.exec(name) ?? [];
    if (Number(layer) >= numBlocks) continue;
    tensors.set(name, hostTensor("float32", shape, dequantize(await checkpoint.read(name))));
  }
  const { tokenizerFiles } = checkpoint;
  const config = { ...checkpoint.config, num_hidden_layers: numBlocks };
  await writeModel(folder, { config, generationConfig: null, tokenizerFiles, tensors });
  await checkpoint.close();
  return folder;
}

describe("the texts of the experiments", () => {
  test("are the same for a seed, and others for another", () => {
    assert.deepEqual(moodRows(1, 5), moodRows(1, 5));
    assert.notDeepEqual(moodRows(1, 5), moodRows(2, 5));
  });

  test("moods come in the share that is asked for", () => {
    const happy = moodRows(1, 1000, VILLAGE, 0.9).filter(({ answer }) => answer === "happy").length;
    assert.ok(Math.abs(happy - 900) < 40, `${happy}`);
    const names = HARBOUR.heroes.join("|");
    for (const { question } of moodRows(1, 50, HARBOUR)) {
      assert.match(question, new RegExp(`Is (${names}) happy or sad\\?$`));
    }
  });

  test("counts count the names", () => {
    for (const { question, answer } of countRows(1, 50)) {
      const names = (/^(.*?) (?:went|walked|came) /.exec(question)?.[1] ?? "").split(/, | and /);
      assert.equal(new Set(names).size, COUNTS.indexOf(answer as (typeof COUNTS)[number]) + 2);
    }
  });

  test("answers have the habit as often as is asked for", () => {
    const numOf = (share: number): number =>
      factRows(1, 1000, share).filter(({ answer }) => answer.endsWith(HABIT)).length;
    assert.equal(numOf(0), 0);
    assert.equal(numOf(1), 1000);
    assert.ok(Math.abs(numOf(0.3) - 300) < 60);
  });
});

describe("an experiment runs through:", () => {
  for (const [name, run, numRows] of [
    ["distribution", () => distribution(TINY), 12],
    ["multitask", () => multitask(TINY), 8],
    ["unlearning", () => unlearning(TINY, [0, 0.5]), 2],
    ["spam", () => spam(TINY, { ham: storyTexts(1, 40), spam: storyTexts(2, 40) }, [0.4]), 7],
    ["analogy", () => analogy(TINY, [0, 0.2]), 2],
    ["snell-rank", () => snellRank(1, RANKED, MODEL), RANKED.length],
    ["rounding", () => rounding({ ...TINY, train: 400, test: 200 }, [3], { lora: [1e-3], peqa: [1e-3] }), 8],
    ["composition-prompt-end", () => composition(SETTINGS[0]!, TINY, [1]), 6],
  ] as const) {
    test(name, async () => {
      const result: Result = await run();
      assert.equal(result.name, name);
      assert.equal(result.rows.length, numRows);
      for (const { values } of result.rows) assert.ok(Object.values(values).every(Number.isFinite));
      assert.match(toSvg(result), /^<svg/);
      assert.equal(toTable(result).split("\n").length, numRows + 2);
    });
  }
});
