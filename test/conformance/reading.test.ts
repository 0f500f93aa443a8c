/** @file Reading an adapter of every method: which weights of the base are read for it, and that the numbers are its own. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readAdapter } from "../../src/format/by-path.ts";
import { BaseModel } from "../../src/models/base/base-model.ts";
import { makesModel } from "../../src/peft/method.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";
import { viewOfRows } from "../passes/rows-of-adapters.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const folder = temporaryFolder();
const engine = createEngine({ threads: 1 });
const { base, checkpoint } = await openUntilEnd(await writeTinyModel(`${folder}/model`));

/** Methods of which a row may have none. */
const HAVE_ROWS_OF_THE_BASE = ["lora", "dora", "ia3", "road", "vera"];
/** Methods whose frozen codes are made of the weights of their modules. */
const READS_ITS_WEIGHTS = ["peqa"];
/** Methods of which a row needs to know them. */
const ROWS_READ_ITS_WEIGHTS = ["dora"];

/** The same model, and the names of the tensors that are read from it after it was opened. */
function counted(): { readonly model: BaseModel; readonly reads: string[] } {
  const { name, source } = base;
  const reads: string[] = [];
  const model = new BaseModel(name, base.model, {
    storageOf: (tensor) => source.storageOf(tensor),
    groupSizeOf: (tensor) => source.groupSizeOf(tensor),
    view: () => null,
    stored: (tensor) => {
      reads.push(tensor);
      return source.stored(tensor);
    },
    readInto: (tensor, into, start) => {
      reads.push(tensor);
      return source.readInto(tensor, into, start);
    },
  });
  return { model, reads };
}

describe("reading an adapter", () => {
  for (const method of METHODS) {
    if (makesModel(method)) continue;
    const forms: object[] = ["lora", "dora"].includes(method.name)
      ? [{}, { init: "pissa", rank: 2 }, { modulesToSave: ["lm_head"] }]
      : [{}];
    for (const options of forms) {
      test(`of ${method.name} with ${JSON.stringify(options)} reads no weight that it does not need`, async () => {
        const adapter = await attachTo(base, method, options);
        perturb(adapter, 0.1);
        const path = `${folder}/${method.name}-${JSON.stringify(options)}`;
        await saveAdapter(path, adapter, { base, checkpoint });
        const { model, reads } = counted();
        const { adapter: read } = await readAdapter(path, model);
        const weights = [...adapter.sites.keys()].map((site) => `${site}.weight`);
        const needed = READS_ITS_WEIGHTS.includes(method.name) ? weights : [];
        assert.deepEqual(reads, needed);
        if (!("init" in options)) assert.deepEqual(valuesOf(read), valuesOf(adapter));
        if (method.kind === "base" || method.batch === "not-batchable" || "modulesToSave" in options) return;
        await viewOfRows(engine, model, [read, HAVE_ROWS_OF_THE_BASE.includes(method.name) ? null : read]);
        const ofRows = ROWS_READ_ITS_WEIGHTS.includes(method.name) ? weights : [];
        assert.deepEqual(reads, [...needed, ...ofRows], "a row without an adapter needs no weight");
      });
    }
  }

  test("draws no random number: no file that reads adapters has a generator", () => {
    const src = join(import.meta.dirname, "../../src");
    const files = ["format", "export"].flatMap((layer) =>
      (readdirSync(join(src, layer), { recursive: true }) as string[]).map((name) => join(src, layer, name)),
    );
    const sources = [...files, join(src, "peft/rows/row-forms.ts")].filter((name) =>
      /(?<!\.test)\.ts$/.test(name),
    );
    assert.ok(sources.length > 20);
    assert.deepEqual(
      sources.filter((name) => /^import (?!type ).*random\.ts/m.test(readFileSync(name, "utf8"))),
      [],
    );
  });
});
