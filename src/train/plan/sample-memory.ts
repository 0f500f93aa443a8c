/**
 * @file The memory for writing samples: programs, and the keys and values of a text. Equal blocks share a program if they take turns in
 * memory; if all stay in memory, each block has its own part of a program.
 */
import { DTYPES } from "../../graph/dtype.ts";
import { nodesOf } from "../../graph/program.ts";
import { keyWidth } from "../../models/model-layer.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import { blockProgram } from "../../run/blocks/block-programs.ts";
import { structuresOf } from "../../run/blocks/block-structure.ts";
import type { PassPlace } from "./passes/planned-place.ts";

/** Keys and values, each in pages and by heads. */
const COPIES = 2 * 2;

/** The memory for writing texts of so many tokens. */
export function sampleNeeds(
  { session, programs }: Pick<PassPlace, "session" | "programs">,
  adapter: AdapterView,
  numTokens: number,
): { readonly numNodes: number; readonly cacheBytes: number } {
  const { model, residency } = session;
  const structures = structuresOf(session, adapter, { training: false });
  const different = new Map(structures.map((structure) => [structure.key, structure])).values();
  const numNodes = (residency === "float32" ? structures : [...different]).map((structure) => {
    const asked = { kind: "forward", saves: "nothing", inputGradient: true, dropped: [] } as const;
    const { spec } = programs.build(blockProgram(model, structure, { ...asked, length: numTokens }));
    return nodesOf(spec).length;
  });
  return {
    numNodes: numNodes.reduce((sum, num) => sum + num, 0),
    cacheBytes: COPIES * DTYPES.float32.sizeBytes * numTokens * keyWidth(model),
  };
}
