/** @file A base that is rounded to few bits when it is loaded: which tensors, in training, and with what was trained on it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { UsageError } from "../../src/errors.ts";
import { readParts } from "../../src/engine/opening/model-parts.ts";
import { openCheckpoint } from "../../src/format/by-path.ts";
import { withQuantizedBase } from "../../src/format/checkpoint/quantized-base.ts";
import { FAMILIES } from "../../src/models/families.ts";
import { BASE_KINDS, STORAGES } from "../../src/quant/storages.ts";
import { dequantize, quantizeTo } from "../../src/quant/stored-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { evaluatedLoss, examplesFor } from "../passes/model-passes.ts";
import { buildTinyGguf } from "../tiny/gguf.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
const engine = createEngine({ threads: 1 });

for (const { modelType } of FAMILIES) {
  test(`${modelType}: matrices of blocks are rounded, routers, norms and biases are not`, async () => {
    const plain = await openCheckpoint(await writeTinyModel(`${folder}/${modelType}`, { modelType }));
    after(() => plain.close());
    const rounded = withQuantizedBase(plain, "q4_0");
    const { base } = await readParts(plain, { base: "q4_0" });
    const { model } = base;
    const inFile = new Map([...plain.tensors.keys()].map((name) => [model.checkpoint.rename(name), name]));
    let numRounded = 0;
    for (const { name, layer, role } of model.tensors.values()) {
      const fileName = inFile.get(name)!;
      const values = dequantize(await plain.read(fileName));
      const { shape, storage } = rounded.tensors.get(fileName)!;
      const isMatrix = role === "weight" && layer !== null && shape.length === 2 && shape[1]! % 32 === 0;
      const isRouter = model.siteOf(name.replace(/\.weight$/, ""))?.role === "router";
      if (isMatrix && !isRouter) {
        numRounded++;
        assert.equal(storage, "q4_0", name);
      } else assert.ok(["f32", "q8_0"].includes(storage), `${name} is ${storage}`);
      if (role === "norm" || role === "bias" || isRouter) assert.equal(storage, "f32", name);
      const expected = storage === "f32" ? values : dequantize(quantizeTo(storage, values, shape));
      assert.deepEqual((await base.values(name)).data, expected, name);
      const into = new Float32Array(expected.length);
      await base.source.readInto(name, into);
      assert.deepEqual(into, expected, name);
    }
    assert.ok(numRounded > 0);
    const held = [...rounded.tensors.values()].filter(({ storage }) => STORAGES[storage].blockSize > 1);
    assert.equal(
      rounded.heldBytes,
      held.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    );
  });
}

test("only the kinds to which graft rounds are for a base", () => {
  assert.deepEqual(BASE_KINDS, ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "mxfp4", "nf4"]);
});

describe("a run on a rounded base", async () => {
  const model = await writeTinyModel(`${folder}/wide`, {
    config: { hidden_size: 64, intermediate_size: 128 },
  });
  const data = writeTinyChats(`${folder}/chats.jsonl`, 8);
  const settings = {
    model,
    data,
    evalData: data,
    learningRate: 0.01,
    seed: 1,
    steps: 3,
    gradientCheckpointing: "on" as const,
  };
  const output = `${folder}/run`;

  test("records the kind, and the adapter gives the same loss on it, and another on the floats", async () => {
    const { events } = await runTiny({ ...settings, base: "nf4", output });
    const trained = events.findLast((event) => event.event === "eval")!.loss;
    const losses: number[] = [];
    const notes: string[][] = [];
    for (const base of ["nf4", undefined, "q4_0"] as const) {
      const checkpoint = await openCheckpoint(model);
      const parts = await readParts(checkpoint, { base, adapterPath: output });
      notes.push(parts.base.takeNotes());
      const units = examplesFor(parts.base.model, [9, 6, 4]);
      losses.push(await evaluatedLoss(engine, parts.base, parts.adapter, units));
      await checkpoint.close();
    }
    assert.ok(Number.isFinite(trained));
    assert.equal(new Set(losses).size, 3);
    assert.deepEqual(notes[0], []);
    assert.match(notes[1]!.join(), /rounded to nf4 \(--base nf4\), but this one is as stored in its files/);
    assert.match(notes[2]!.join(), /rounded to nf4 \(--base nf4\), but this one is q4_0/);
    const card = readFileSync(`${output}/README.md`, "utf8");
    assert.match(card, / --base nf4 --adapter FOLDER\n/);
    assert.match(card, /\| base \| nf4 \|/);
  });

  test("refuses what trains the matrices or has codes of its own, by name and before anything is read", async () => {
    for (const method of ["full", "peqa"] as const) {
      await assert.rejects(
        runTiny({
          ...settings,
          model: `${folder}/none`,
          base: "nf4",
          method,
          rank: undefined,
          output: `${folder}/refused`,
        }),
        {
          code: "usage/flag",
          message: new RegExp(`use --base nf4 with method "${method}".*expected a frozen base`),
        },
      );
    }
  });

  test("refuses unknown kinds and a resumed run of another kind", async () => {
    await assert.rejects(runTiny({ ...settings, base: "nf5" as "nf4", output }), {
      code: "usage/flag",
      message: /nf5.*nf4/,
    });
    await assert.rejects(runTiny({ ...settings, base: "q4_0", steps: 4, resume: true, output }), {
      code: "usage/resume",
    });
  });

  test("goes on with weights that are held as before: a quantized head adds up otherwise when it is held in float32", async () => {
    const goOn = async (base: "nf4" | undefined): Promise<unknown> => {
      const own = { ...settings, base, output: `${folder}/held-${base}` };
      await runTiny({ ...own, steps: 1 });
      return await runTiny({ ...own, weights: "float32", steps: 2, resume: true });
    };
    await assert.rejects(goOn("nf4"), {
      code: "usage/resume",
      message: /weights was "stored", is "float32"/,
    });
    await goOn(undefined);
  });

  test("refuses a base that is in few bits, and one whose rows fill no block", async () => {
    const gguf = `${folder}/tiny.gguf`;
    writeFileSync(gguf, buildTinyGguf());
    const checkpoint = await openCheckpoint(gguf);
    after(() => checkpoint.close());
    const refused = (message: RegExp) => (error: unknown) => {
      assert.ok(error instanceof UsageError && error.code === "usage/quantization" && error.hint);
      assert.match(error.message, message);
      return true;
    };
    assert.throws(() => withQuantizedBase(checkpoint, "q4_0"), refused(/down_proj.weight" is q4_1 already/));
    const narrow = await openCheckpoint(
      await writeTinyModel(`${folder}/narrow`, { config: { hidden_size: 48, intermediate_size: 80 } }),
    );
    after(() => narrow.close());
    assert.throws(() => withQuantizedBase(narrow, "nf4"), refused(/rows of a multiple of 64/));
  });
});
