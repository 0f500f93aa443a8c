/**
 * @file What of a model runs backward when some branches are left out, found out without compiling: for trainings, and for
 * plans of their memory.
 */
import { gradients } from "../../graph/autodiff.ts";
import { LAYER_INPUT } from "../../models/graphs/part-links.ts";
import type { Model } from "../../models/model.ts";
import type { BlockStructure } from "./block-structure.ts";

/** A block's part in the backward pass. */
export interface BlockPlan {
  /** Branches that are left out of it. */
  readonly dropped: readonly string[];
  /** False: the gradient passes the block unchanged and nothing in it is trained, or nothing here or below is trained. */
  readonly runs: boolean;
  /** Whether something below it is trained. */
  readonly wantsInput: boolean;
  /** Names of what other parts give it of which they want the gradient. */
  readonly links: readonly string[];
}

/** What decides how far a backward pass goes, beside what is trained in the blocks. */
export interface BackwardRequest {
  /** By block, the branches that are left out. */
  readonly dropped: readonly (readonly string[])[];
  /** Whether what lies before the blocks is trained. */
  readonly trainsStem: boolean;
}

export interface BackwardPlan {
  readonly blocks: readonly BlockPlan[];
  /** Whether nothing below the head is trained. */
  readonly stopsAtHead: boolean;
}

/** What the backward pass of a block does. */
interface BackwardTrace {
  /** Whether something trained has a gradient. */
  readonly trains: boolean;
  /** Whether the gradient of x is that of y: then nothing needs to run but for what is trained. */
  readonly passesThrough: boolean;
  /** Names of what other parts give it. */
  readonly links: readonly string[];
  /** Gradients of what others made of its keys and values end there. */
  readonly cutsKeys: boolean;
}

/** Makes what plans backward passes over blocks; what it has traced of a block it remembers. */
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
