/** @file Adapters side by side of which each is a batch of its own, as those of unlike methods or forms are, in one pass. */
import type { BaseModel } from "../src/models/base-model.ts";
import type { AdapterView } from "../src/peft/adapter-view.ts";
import type { Adapter } from "../src/peft/attach.ts";
import { mixViews } from "../src/peft/mixed-rows.ts";
import { stackAdapters } from "../src/peft/rows.ts";
import type { Engine } from "../src/runtime/engine.ts";

/** Makes the view of adapters, and of none, that rows choose among. */
export async function mixAdapters(
  engine: Engine,
  base: BaseModel,
  adapters: readonly (Adapter | null)[],
): Promise<AdapterView> {
  const onlyOne = (own: Adapter): Promise<AdapterView> =>
    stackAdapters(
      engine,
      base,
      adapters.map((adapter) => (adapter === own ? own : null)),
    );
  return mixViews(await Promise.all(adapters.flatMap((adapter) => (adapter ? [onlyOne(adapter)] : []))));
}
