import assert from "node:assert/strict";
import { test } from "node:test";
import { changedSettings } from "./saved-settings.ts";

test("a base that is named by what it holds is the same where its settings are, or a run that is older does not tell them", () => {
  const tensors = "0123456789abcdef";
  const changed = (saved: string, given: string): string[] =>
    changedSettings({ model: saved, seed: 1 }, { model: given, seed: 1 });
  assert.deepEqual(changed(tensors, `${tensors}-1aaaaaaaaaaaa`), []);
  assert.deepEqual(changed(`${tensors}-1aaaaaaaaaaaa`, `${tensors}-1bbbbbbbbbbbb`), ["model"]);
  assert.deepEqual(changed("models/a", "models/a"), []);
  assert.deepEqual(changed("models/a-1", "models/a-2"), ["model"]);
});

test("a setting that a run does not tell, as one that is older, is its default", () => {
  const changed = (saved: object, given: object): string[] => changedSettings({ ...saved }, { ...given });
  assert.deepEqual(changed({ seed: 1 }, { seed: 1, weightDecay: 0, schedule: "linear" }), []);
  assert.deepEqual(changed({ seed: 1 }, { seed: 1, weightDecay: 0.1 }), ["weightDecay"]);
  assert.deepEqual(changed({ maxLength: 9 }, { dropbp: 0.5 }), ["maxLength", "dropbp"]);
  assert.deepEqual(changed({}, { ofAMethod: 3 }), ["ofAMethod"], "a method's may be any");
});

test("a run may be given more patience than it had, not less, and none must be given any", () => {
  const changed = (saved: number | undefined, given: number | undefined): string[] =>
    changedSettings({ earlyStopping: saved }, { earlyStopping: given });
  assert.deepEqual(changed(1, 3), []);
  for (const [saved, given] of [
    [3, 1],
    [undefined, 3],
    [1, undefined],
  ])
    assert.deepEqual(changed(saved, given), ["earlyStopping"]);
});
