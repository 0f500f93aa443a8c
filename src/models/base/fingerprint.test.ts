import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { openTextParts } from "../../engine/open-text-model.ts";
import { BaseModel } from "./base-model.ts";
import { fingerprintOf } from "./fingerprint.ts";

test("a base has the same fingerprint wherever it lies, and another one after the smallest change of a norm", async () => {
  const root = temporaryFolder();
  const [here, there] = [
    await openTextParts(await writeTinyModel(join(root, "here"))),
    await openTextParts(await writeTinyModel(join(root, "there"))),
  ];
  const expected = await fingerprintOf(here.base);
  assert.match(expected, /^[0-9a-f]{16}$/);
  assert.equal(await fingerprintOf(there.base), expected);
  const { name, model, source } = here.base;
  const other = new BaseModel(name, model, {
    storageOf: (tensor) => source.storageOf(tensor),
    groupSizeOf: (tensor) => source.groupSizeOf(tensor),
    stored: (tensor) => source.stored(tensor),
    view: () => null,
    readInto: async (tensor, into) => {
      await source.readInto(tensor, into);
      into[0] = into[0]! * (1 + 1e-6);
    },
  });
  assert.notEqual(await fingerprintOf(other), expected);
  await here.checkpoint.close();
  await there.checkpoint.close();
});
