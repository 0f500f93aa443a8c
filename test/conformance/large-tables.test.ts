/** @file Tables that are quantized or too large for float32: rows gathered from the stored form, the head in slices of the vocabulary. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BaseModel, type WeightSource } from "../../src/models/base/base-model.ts";
import type { SiteSpec } from "../../src/models/graphs/sites.ts";
import { FAMILIES } from "../../src/models/families.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import { assertNear } from "../matrix/nearness.ts";
import { quantizeBase } from "../matrix/forms.ts";
import {
  attachTo,
  examplesFor,
  logitsOf,
  lossAndGradients,
  perturb,
  unpacked,
} from "../passes/model-passes.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { inTurn } from "../matrix/sampled.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();
/** Three slices of a vocabulary of 259, the last one shorter. */
const SLICE_ROWS = 100;
const SHARE = 1e-6;

const WHOLE = { residency: "float32" } as const;
const LARGE = { maxTableBytes: 0, sliceRows: SLICE_ROWS };
const sliced = (base: BaseModel): Session => new Session(engine, base, "stored", LARGE);

const OF_TEXTS = FAMILIES.filter((family) => !("image_size" in TINY_CONFIGS[family.modelType]!));

for (const [turn, { modelType }] of OF_TEXTS.entries()) {
  describe(`large tables of ${modelType}`, async () => {
    const { base: plain } = await openUntilEnd(await writeTinyModel(`${folder}/${modelType}`, { modelType }));
    const embedding = plain.model.stem.sites[0]!.name;
    const batch = unpacked(examplesFor(plain.model, [9, 6, 4]));

    for (const storage of ["f32", ...inTurn(["q8_0", "q4_0"] as const, turn)] as const) {
      test(`logits, loss and gradients are those of whole tables, stored as ${storage}`, async () => {
        const base = storage === "f32" ? plain : await quantizeBase(plain, storage);
        const linear = await attachTo(base, lora);
        const withEmbedding = await attachTo(base, lora, {}, [embedding, ...moduleNames(linear)]);
        const adapters =
          storage === "f32" ? [linear, withEmbedding] : inTurn([linear, withEmbedding], turn >> 1);
        for (const adapter of adapters) {
          perturb(adapter, 0.05);
          const [whole, parts] = [
            await logitsOf(engine, base, adapter, batch, WHOLE),
            await logitsOf(engine, base, adapter, batch, LARGE),
          ];
          assertNear(parts, whole, SHARE, "logits");
          const [expected, actual] = [
            await lossAndGradients(engine, base, adapter, [batch], WHOLE),
            await lossAndGradients(engine, base, adapter, [batch], LARGE),
          ];
          assert.ok(Math.abs(actual.loss - expected.loss) <= SHARE * expected.loss, `${actual.loss}`);
          assertGradientsEqual(actual.gradients, expected.gradients);
        }
      });
    }

    test("evaluation tells the same loss, and no table was ever widened whole", async () => {
      const base = await quantizeBase(plain, "q8_0");
      const embeddings = base.model.stem.sites.filter(({ kind }) => kind === "embedding");
      const tables = [...embeddings, ...headOf(base)].map(({ name }) =>
        base.model.storedName(`${name}.weight`),
      );
      const rowWidth = (name: string): number => base.model.tensors.get(name)!.shape[1]!;
      let numRows = 0;
      const watched: WeightSource = {
        ...base.source,
        stored: (name) => {
          assert.ok(!tables.includes(name), `${name} is asked for whole`);
          return base.source.stored(name);
        },
        readInto: (name, into, start) => {
          if (tables.includes(name)) numRows = Math.max(numRows, into.length / rowWidth(name));
          return base.source.readInto(name, into, start);
        },
      };
      const losses: number[] = [];
      for (const session of [
        new Session(engine, base, WHOLE.residency),
        sliced(new BaseModel("watched", base.model, watched)),
      ]) {
        const evaluator = await Evaluator.create(session, null);
        losses.push((await evaluator.evaluate(examplesFor(base.model, [9, 6, 4]))).loss);
        await session.release();
      }
      assert.ok(Math.abs(losses[0]! - losses[1]!) <= SHARE * losses[0]!, losses.join());
      assert.equal(numRows, base.model.task === "causal-lm" ? SLICE_ROWS : 1);
    });
  });
}

test("a quantized table of any size stays as it is stored, over several chunks of positions", async () => {
  const { base: plain } = await openUntilEnd(
    await writeTinyModel(`${folder}/quantized`, { modelType: "llama" }),
  );
  const base = await quantizeBase(plain, "q8_0");
  const adapter = await attachTo(base, lora);
  perturb(adapter, 0.05);
  const batch = unpacked(
    examplesFor(
      base.model,
      Array.from({ length: 240 }, () => 12),
    ),
  );
  const session = new Session(engine, base);
  assert.ok(session.isLargeTable(base.model.headTensor.name));
  await session.release();
  const [parts, whole] = [
    await lossAndGradients(engine, base, adapter, [batch]),
    await lossAndGradients(engine, base, adapter, [batch], WHOLE),
  ];
  assert.ok(Math.abs(parts.loss - whole.loss) <= SHARE * whole.loss, `${parts.loss}, ${whole.loss}`);
  assertGradientsEqual(parts.gradients, whole.gradients);
});

/** Asserts that gradients agree in the Euclidean norm but for rounding, which adds up on the way back. */
function assertGradientsEqual(
  actual: ReadonlyMap<string, Float32Array>,
  expected: ReadonlyMap<string, Float32Array>,
): void {
  assert.deepEqual([...actual.keys()], [...expected.keys()]);
  for (const [name, gradient] of expected) {
    const apart = Math.hypot(...gradient.map((value, i) => value - (actual.get(name)?.[i] ?? NaN)));
    const size = Math.hypot(...gradient);
    assert.ok(apart <= 2 * SHARE * size, `${name} is ${apart} apart, of norm ${size}`);
  }
}

/** The head of a vocabulary; those of classes are small, and have a bias. */
function headOf({ model }: BaseModel): readonly SiteSpec[] {
  return model.task === "causal-lm" ? model.head.sites : [];
}

function moduleNames({ sites }: Adapter): readonly string[] {
  return [...sites.keys()];
}
