/**
 * @file Finds out, without compiling, which parts of a model run backward when some branches are left out: for trainings, and for
 * plans of their memory.
 */
import { gradients } from "../../graph/autodiff.ts";
import { LAYER_INPUT } from "../../models/graphs/part-links.ts";
import type { Model } from "../../models/model.ts";
import type { BlockStructure } from "./block-structure.ts";

/** A block's part in the backward pass. */
export interface BlockPlan {
  /** Branches that are left out. */
  readonly dropped: readonly string[];
  /** False: the gradient passes through the block unchanged and nothing in it is trained, or nothing in it or below is trained. */
  readonly runs: boolean;
  /** Whether something below it is trained. */
  readonly wantsInput: boolean;
  /** Names of the block's inputs from other parts that want their gradients. */
  readonly links: readonly string[];
}

/** What decides how far a backward pass goes, besides what is trained in the blocks. */
export interface BackwardRequest {
  /** The branches that are left out, for each block. */
  readonly dropped: readonly (readonly string[])[];
  /** Whether anything before the blocks is trained. */
  readonly trainsStem: boolean;
}

export interface BackwardPlan {
  readonly blocks: readonly BlockPlan[];
  /** Whether nothing below the head is trained. */
  readonly stopsAtHead: boolean;
}

/** What a block's backward pass does. */
interface BackwardTrace {
  /** Whether anything trained has a gradient. */
  readonly trains: boolean;
  /** Whether the gradient of x equals that of y, so that only gradients of trained parameters need to be computed. */
  readonly passesThrough: boolean;
  /** Names of its inputs from other parts that have gradients. */
  readonly links: readonly string[];
  /** Whether gradients of its keys and values, as read by other blocks, stop here. */
  readonly cutsKeys: boolean;
}

/** Makes a planner of backward passes over blocks; it remembers what it has traced. */
export function backwardPlanner(
  model: Model,
  structures: readonly BlockStructure[],
): (request: BackwardRequest) => BackwardPlan {
  const known = new Map<string, BackwardTrace>();
  const traceOf = (structure: BlockStructure, dropped: readonly string[]): BackwardTrace => {
    const key = JSON.stringify([structure.key, dropped]);
    const trace = known.get(key) ?? traceBackward(model, structure, dropped);
    known.set(key, trace);
    return trace;
  };
  return ({ dropped, trainsStem }) => {
    const traces = structures.map((structure, layer) => traceOf(structure, dropped[layer] ?? []));
    const lowestTrained = traces.findIndex(({ trains }) => trains);
    const stopsAtHead = !trainsStem && lowestTrained < 0;
    const lowest = trainsStem ? 0 : lowestTrained;
    const runs = traces.map(
      ({ trains, passesThrough }, layer) => !stopsAtHead && layer >= lowest && (trains || !passesThrough),
    );
    const blocks = traces.map((trace, layer): BlockPlan => {
      const { keysFrom } = model.layers[layer]!;
      const wantsKeys = keysFrom !== null && runs[keysFrom]! && !traces[keysFrom]!.cutsKeys;
      return {
        dropped: dropped[layer] ?? [],
        runs: runs[layer]!,
        wantsInput: layer > lowest || trainsStem,
        links: trace.links.filter((name) => (name === LAYER_INPUT ? trainsStem : wantsKeys)),
      };
    });
    return { blocks, stopsAtHead };
  };
}

function traceBackward(
  model: Model,
  { layer, options, trained }: BlockStructure,
  dropped: readonly string[],
): BackwardTrace {
  const { part, x, y } = model.buildBlock(layer, { ...options, dropped: new Set(dropped) });
  const dy = part.graph.input("dy", "float32", y.shape);
  const values = trained.map((name) => (part.adapter[name] ?? part.tensors[name])!);
  const [dx, ...found] = gradients([{ value: y, gradient: dy }], [x, ...values]);
  const { inputs, cutsKeys } = part.links;
  return { trains: found.some(Boolean), passesThrough: dx === dy, links: Object.keys(inputs), cutsKeys };
}
