/**
 * @file How much memory the weights of a base model take at a time, given that `run/weights/weights` lends them block by block.
 */
import { DTYPES } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { type AdapterView, partWith } from "../../peft/adapter-view.ts";
import { structuresOf, tensorsRead } from "../../run/blocks/block-structure.ts";
import { isReadByRows } from "../../run/stem-program.ts";
import { readsSlices } from "../../run/head/head-programs.ts";
import { headArithmetic, splitReads } from "../../run/head/head-graph.ts";
import type { Residency } from "../../run/weights/weights.ts";
import { isOutside } from "../../models/module-path.ts";
import type { PlannedSession } from "./passes/planned-session.ts";

/** Bytes of the blocks' weights as programs read them: of all blocks, or of those lent at the same time. */
export function blockBytes(session: PlannedSession, adapter: AdapterView, residency: Residency): number {
  const { model } = session;
  const known = new Map<string, { fed: number; bound: number }>();
  const outside = new Map<string, number>();
  const sizes = structuresOf(session, adapter, { training: true }).map((structure) => {
    let size = known.get(structure.key);
    if (!size) {
      size = { fed: 0, bound: 0 };
      for (const { tensor, preparation } of tensorsRead(model, structure)) {
        const bytes = preparation.operands.reduce(
          (sum, { dtype, shape }) => sum + numElements(shape) * DTYPES[dtype].sizeBytes,
          0,
        );
        if (isOutside(tensor)) outside.set(tensor, bytes);
        else size[preparation.binding] += bytes;
      }
      known.set(structure.key, size);
    }
    return size;
  });
  // Bound weights stay in memory for each block; a tensor that several blocks read is there once.
  const shared = [...outside.values()].reduce((sum, bytes) => sum + bytes, 0);
  const bound = shared + sizes.reduce((sum, size) => sum + size.bound, 0);
  const total = sizes.reduce((sum, { fed }) => sum + fed, 0);
  if (residency === "float32" || bound > shared) return bound + total;
  return countSlots(model.layers.map(({ kind }) => kind)).reduce((sum, numSlots, kind) => {
    const ofKind = sizes.filter((_, layer) => model.layers[layer]?.kind === kind);
    return sum + numSlots * Math.max(...ofKind.map(({ fed }) => fed));
  }, shared);
}

/** How many blocks of each kind are in memory during a forward and a backward pass: the one in use and the next. */
function countSlots(kinds: readonly number[]): number[] {
  const slots: { kind: number; layer: number }[] = [];
  let held: number[] = [];
  const last = kinds.length - 1;
  const visits = [...kinds.keys()].map((layer) => [layer, layer + 1] as const);
  const back = [...kinds.keys()].reverse().map((layer) => [layer, layer - 1] as const);
  for (const pair of [...visits, ...back]) {
    const wanted = pair.filter((layer) => layer >= 0 && layer <= last);
    for (const layer of wanted) {
      // The block that ran before is free when the one after the next is read.
      const isHeld = (slot: { layer: number }): boolean =>
        held.includes(slot.layer) && wanted.includes(slot.layer);
      if (slots.some((slot) => slot.layer === layer)) continue;
      const idle = slots.find((slot) => slot.kind === kinds[layer] && !isHeld(slot));
      if (idle) idle.layer = layer;
      else slots.push({ kind: kinds[layer]!, layer });
    }
    held = wanted;
  }
  return [...new Set(kinds)]
    .sort((a, b) => a - b)
    .map((kind) => slots.filter((slot) => slot.kind === kind).length);
}

/** Bytes of what stem and head read in float32, without trained tensors; a mapped table that is read whole counts fully. */
export function outerBytes(session: PlannedSession, adapter: AdapterView): number {
  const { model } = session;
  const own = adapter.inputs(null);
  const options = {
    ...partWith(adapter, null),
    isGathered: (table: string) => !(table in own) && isReadByRows(session, table),
  };
  const stem = Object.keys(model.buildStem(options).part.tensors);
  const arithmetic = headArithmetic(session, adapter, "lossAndGradients");
  const headProduct = readsSlices(session, adapter, arithmetic) ? "slice" : "whole";
  const { part } = model.buildHead({ ...options, ...arithmetic, headProduct });
  const { plain: head, rounded } = splitReads(part);
  const isOwn = (name: string): boolean => name in own || model.storedName(name) in own;
  const names = new Set(
    [...stem, ...head].filter((name) => !isOwn(name)).map((name) => model.storedName(name)),
  );
  const ofCodes = rounded
    .flatMap(({ preparation }) => preparation.operands)
    .reduce((sum, { dtype, shape }) => sum + numElements(shape) * DTYPES[dtype].sizeBytes, 0);
  return [...names].reduce(
    (sum, name) => sum + 4 * numElements(model.tensors.get(name)?.shape ?? []),
    ofCodes,
  );
}
