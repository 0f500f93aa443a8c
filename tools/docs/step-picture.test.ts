/** @file The picture of a step tells the numbers of kept results, is the same each time, and can be read in light and dark. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { NIGHT } from "../../src/train/report/palette.ts";
import { stepPicture, stepPictureLines, stepSpeedLine } from "./step-picture.ts";

const svg = stepPicture();
const kept = ["-zen5", "", "-zen3"].map(
  (processor) =>
    JSON.parse(
      readFileSync(new URL(`../../bench/results/train-step-int8${processor}.json`, import.meta.url), "utf8"),
    ) as { date: string; commit: string; results: { speed_ratio: { median: number }; memory_ratio: number } },
);

test("it tells the numbers of kept results, and the line beside it the commits and days", () => {
  const numbers = [...svg.matchAll(/>(\d\.\d\d)<\/text>/g)].map(([, number]) => number);
  assert.equal(numbers[0], kept[0]?.results.speed_ratio.median.toFixed(2));
  for (const { date, commit, results } of kept) {
    assert.ok(numbers.includes(results.speed_ratio.median.toFixed(2)));
    assert.ok(numbers.includes(results.memory_ratio.toFixed(2)));
    assert.ok(stepPictureLines().includes(`${date.slice(0, 10)} at \`${commit.slice(0, 8)}\``));
  }
});

test("the sentence about speed has the numbers of the picture", () => {
  const [{ results }] = kept as [(typeof kept)[number]];
  assert.match(stepSpeedLine(), new RegExp(`takes ${results.speed_ratio.median.toFixed(1)} times as long`));
});

test("drawn again it is the same", () => assert.equal(stepPicture(), svg));

test("every colour has another where the reader has it dark", () => {
  const [, style = "", drawn = ""] = /<style>(.*)<\/style>(.*)/s.exec(svg) ?? [];
  const used = [...drawn.matchAll(/(?:fill|stroke)="(#[^"]*)"/g)];
  assert.ok(used.length > 20);
  for (const [attribute] of used) assert.ok(style.includes(`[${attribute}] {`), attribute);
  assert.ok(style.includes(`fill: ${NIGHT.background};`));
});
