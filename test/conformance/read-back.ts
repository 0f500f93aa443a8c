/** @file What must hold of an adapter or a trained model that was written to a folder and read again. */
import assert from "node:assert/strict";
import type { Batch } from "../../src/data/batches/batch.ts";
import { makesModel } from "../../src/peft/method.ts";
import { type LoadedModel, loadModel, readAdapter } from "../../src/format/by-path.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import { logitsOf } from "../passes/model-passes.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { saveAdapter } from "../files/save-adapter.ts";

/** Writes what was trained to `path` and asserts that, read again, it computes bit for bit the same. */
export async function assertReadBack(
  engine: Engine,
  { base, checkpoint }: LoadedModel,
  { adapter, batch, path }: { readonly adapter: Adapter; readonly batch: Batch; readonly path: string },
): Promise<void> {
  await saveAdapter(path, adapter, { base, checkpoint });
  const expected = await logitsOf(engine, base, adapter, batch);
  if (!makesModel(adapter.method)) {
    const { adapter: read } = await readAdapter(path, base);
    assert.deepEqual(valuesOf(read), valuesOf(adapter));
    assert.deepEqual(await logitsOf(engine, base, read, batch), expected);
    return;
  }
  const loaded = await loadModel(path);
  assert.deepEqual(await logitsOf(engine, loaded.base, null, batch), expected);
  await loaded.checkpoint.close();
}
