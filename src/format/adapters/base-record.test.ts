/** @file An adapter knows its base in every form of that base's files, and no other model of equal shapes. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { temporaryFolder, tinyModelParts } from "../../../test/tiny/model.ts";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../quant/codes/half.ts";
import { Random } from "../../random.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { openCheckpoint, writeModel } from "../by-path.ts";
import { loadWeights } from "../checkpoint/load-model.ts";
import { withQuantizedBase } from "../checkpoint/quantized-base.ts";
import { BASE_SAMPLE_KEY, checkBase, mayShareBase, recordBase } from "./base-record.ts";

const root = temporaryFolder();
type Tensors = ReadonlyMap<string, HostTensor>;

/** Biases beside norms; rows that fill blocks of 32. */
const { config, tensors } = tinyModelParts({ config: { attention_bias: true } });
const other = tinyModelParts({ config: { attention_bias: true }, seed: 2 }).tensors;

function mapped(all: Tensors, change: (tensor: HostTensor<"float32">) => HostTensor): Tensors {
  return new Map([...all].map(([name, tensor]) => [name, change(tensor as HostTensor<"float32">)]));
}
const toBfloat16 = (all: Tensors): Tensors =>
  mapped(all, ({ shape, data }) => hostTensor("bfloat16", shape, float32ToBfloat16(data)));
const toFloat16 = (all: Tensors): Tensors =>
  mapped(all, ({ shape, data }) => hostTensor("float16", shape, float32ToFloat16(data)));

/** As a training on `all` in small steps would leave it; norms stay, as they do under adapters that are merged. */
function tuned(all: Tensors): Tensors {
  const random = new Random(7);
  return mapped(all, (tensor) => {
    const { shape, data } = tensor;
    if (shape.length === 1) return tensor;
    return hostTensor(
      "float32",
      shape,
      data.map((value) => value * (1 + 0.05 * random.normal())),
    );
  });
}

let numModels = 0;
async function openBase(
  own: Tensors,
  kind?: "q4_0" | "nf4",
  settings: Readonly<Record<string, unknown>> = {},
): Promise<BaseModel> {
  const path = `${root}/${numModels++}`;
  await writeModel(path, {
    config: { ...config, ...settings },
    generationConfig: null,
    tokenizerFiles: byteTokenizerFiles(),
    tensors: own,
  });
  const checkpoint = withQuantizedBase(await openCheckpoint(path), kind);
  after(() => checkpoint.close());
  return await loadWeights(path, checkpoint, { name: `model-${numModels}` });
}

/** What adapters of a base say. */
async function open(own: Tensors, kind?: "q4_0" | "nf4"): Promise<string> {
  return await recordBase(await openBase(own, kind));
}

/** Whether an adapter that was trained on one base is taken on another. */
const isTaken = (trainedOn: string, base: string): boolean => mayShareBase("an adapter", trainedOn, base);

const forms = {
  float32: await open(tensors),
  "float32 again": await open(tensors),
  bfloat16: await open(toBfloat16(tensors)),
  float16: await open(toFloat16(tensors)),
  q4_0: await open(tensors, "q4_0"),
  nf4: await open(toBfloat16(tensors), "nf4"),
};

describe("an adapter with a record of its base", () => {
  test("is taken on every form of that base, and on no form of another", async () => {
    const others = [await open(other), await open(toBfloat16(other)), await open(other, "q4_0")];
    for (const [form, trainedOn] of Object.entries(forms)) {
      for (const [name, base] of Object.entries(forms)) {
        assert.equal(isTaken(trainedOn, base), true, `${form} on ${name}`);
      }
      for (const base of others) assert.equal(isTaken(trainedOn, base), false, form);
    }
  });

  test("is refused on what a training has made of its base, where both are floats", async () => {
    const made = tuned(tensors);
    for (const base of [await open(made), await open(toBfloat16(made)), await open(toFloat16(made))]) {
      for (const trainedOn of [forms.float32, forms.bfloat16]) {
        assert.equal(isTaken(trainedOn, base), false);
      }
    }
    // In few bits the two are not to be told apart, unless norms say so.
    assert.equal(isTaken(forms.float32, await open(made, "q4_0")), true);
    const moved = new Map(
      [...tensors].map(([name, { shape, data }]) => {
        return [
          name,
          shape.length > 1
            ? tensors.get(name)!
            : hostTensor(
                "float32",
                shape,
                data.map((x) => 1.02 * x),
              ),
        ];
      }),
    );
    assert.equal(isTaken(forms.float32, await open(moved, "q4_0")), false);
  });
});

test("one of another base is refused with both names; without a record it is taken; a damaged one is an error of its file", async () => {
  const base = await openBase(tensors);
  const check = (record: string): Promise<void> =>
    checkBase("an adapter", base, { [BASE_SAMPLE_KEY]: record }, "its own base");
  await check(forms.bfloat16);
  await checkBase("an adapter", base, {}, null);
  await assert.rejects(check(await open(other)), {
    code: "usage/adapter",
    message: /"model-\d+" has weights [0-9a-f]{12}, expected [0-9a-f]{12} of "its own base"/,
    hint: /any form of its files/,
  });
  for (const record of ["", "{}", '{"vectors":"AAA=","matrices":"","rounded":false}']) {
    await assert.rejects(check(record), { code: "format/json", message: /base_sample/ });
  }
  assert.equal(mayShareBase("an adapter", undefined, forms.float32), true);
});

test("one of the same model with other settings is taken, and noted; older records tell no settings", async () => {
  const base = await openBase(tensors, undefined, { rope_theta: 20_000 });
  const check = (record: string): Promise<void> =>
    checkBase("an adapter", base, { [BASE_SAMPLE_KEY]: record }, "its own base");
  const { settings, ...older } = JSON.parse(forms.float32) as Record<string, unknown>;
  assert.equal(typeof settings, "string");
  await check(await recordBase(base));
  await check(JSON.stringify(older));
  assert.deepEqual(base.takeNotes(), []);
  for (const record of [forms.float32, forms.bfloat16, forms.q4_0]) {
    await check(record);
    const notes = base.takeNotes();
    assert.equal(notes.length, 1);
    assert.match(
      notes[0]!,
      /^Adapter "an adapter" was trained on this model with other settings: "model-\d+" has /,
    );
  }
});
