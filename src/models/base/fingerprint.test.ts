import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { openTextParts } from "../../engine/open-text-model.ts";
import { BaseModel } from "./base-model.ts";
import { basePattern, fingerprintOf, mayBeOneBase } from "./fingerprint.ts";

test("a base has the same fingerprint wherever it lies, and another one after the smallest change of a norm", async () => {
  const root = temporaryFolder();
  const [here, there] = [
    await openTextParts(await writeTinyModel(join(root, "here"))),
    await openTextParts(await writeTinyModel(join(root, "there"))),
  ];
  const expected = await fingerprintOf(here.base);
  assert.match(expected, /^[0-9a-f]{16}-1[0-9a-f]{12}$/);
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

test("a base with the same tensors and other settings has another fingerprint, of which the tensors' part is the same", async () => {
  const root = temporaryFolder();
  const of = async (name: string, config: Readonly<Record<string, unknown>>): Promise<string> => {
    const path = await writeTinyModel(join(root, name), { modelType: "gemma2", config });
    const { base, checkpoint } = await openTextParts(path);
    return await fingerprintOf(base).finally(() => checkpoint.close());
  };
  const plain = await of("plain", {});
  assert.equal(await of("again", { use_cache: false }), plain);
  const cases: Readonly<Record<string, object>> = {
    theta: { rope_theta: 20_000 },
    window: { sliding_window: 5 },
    attention: { attn_logit_softcapping: 30 },
    logits: { final_logit_softcapping: 20 },
    epsilon: { rms_norm_eps: 1e-6 },
    scale: { query_pre_attn_scalar: 16 },
  };
  const found = new Set([plain]);
  for (const [name, config] of Object.entries(cases)) {
    const other = await of(name, config as Readonly<Record<string, unknown>>);
    assert.equal(other.slice(0, 16), plain.slice(0, 16), name);
    assert.ok(!mayBeOneBase(plain, other), name);
    found.add(other);
  }
  assert.equal(found.size, 1 + Object.keys(cases).length);
});

test("what tells no settings, or tells them in another form, may be of any; what is no fingerprint is only itself", () => {
  const tensors = "0123456789abcdef";
  const [plain, other, later] = [
    `${tensors}-1aaaaaaaaaaaa`,
    `${tensors}-1bbbbbbbbbbbb`,
    `${tensors}-2aaaaaaaaaaaa`,
  ];
  const pairs: readonly (readonly [string, string, boolean])[] = [
    [plain, plain, true],
    [plain, other, false],
    [plain, tensors, true],
    [plain, later, true],
    [tensors, tensors, true],
    [plain, plain.replace("0", "1"), false],
    [tensors, plain.replace("0", "1"), false],
    ["models/a-1.(b)", "models/a-1.(b)", true],
    ["models/a-1.b", "models/a-1xb", false],
    ["models/a-1", "models/a-2", false],
    ["models/a", "models/a-2", false],
  ];
  for (const [a, b, expected] of pairs) {
    assert.equal(mayBeOneBase(a, b), expected, `${a} ${b}`);
    assert.equal(mayBeOneBase(b, a), expected, `${b} ${a}`);
  }
  assert.equal(basePattern(plain), `^${tensors}(-1aaaaaaaaaaaa|-[^1].*)?$`);
});
