/** @file What a plan may choose: every free setting with every other, roundings only where they save something. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TRAIN_OPTIONS, sizedFor } from "../settings/options.ts";
import { type PlannedSetting, listAlternatives } from "./alternatives.ts";

const MODEL = { maxPositions: 2048, image: null };
const NAMES = { model: "m", data: "d", output: "o" };
const everything = (): boolean => true;
const allBut =
  (...given: PlannedSetting[]) =>
  (setting: PlannedSetting): boolean =>
    !given.includes(setting);

test("bases are rounded where they are of floats and held as they are stored", () => {
  const options = sizedFor(TRAIN_OPTIONS.parse({ ...NAMES, batchSize: 2 }), MODEL);
  const all = listAlternatives(options, everything, everything);
  const bases = new Set(all.map(({ settings }) => settings.base));
  assert.deepEqual([...bases], [undefined, "q8_0", "nf4"]);
  for (const { settings, isExact } of all) {
    assert.equal(isExact, settings.base === undefined && settings.compute === undefined);
    if (settings.base) assert.equal(settings.weights, "stored");
  }
  const none: [typeof options, (setting: PlannedSetting) => boolean, () => boolean][] = [
    [options, everything, () => false],
    [options, allBut("base"), everything],
    [{ ...options, weights: "float32" }, allBut("weights"), everything],
    [{ ...options, compute: "int8" }, allBut("compute"), everything],
    [{ ...options, base: "q4_0" }, everything, everything],
  ];
  for (const [given, isFree, canRound] of none) {
    const kinds = listAlternatives(given, isFree, canRound).map(({ settings }) => settings.base);
    assert.deepEqual(kinds.filter(Boolean), []);
  }
});
