/** @file What distinguishes the programs of one block from those of another, and how they are made and compiled. */
import { neededInputs } from "../../graph/program.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import type { Model } from "../../models/model.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { PartOptions } from "../../models/graphs/part-options.ts";
import { type AdapterView, partWith } from "../../peft/adapter-view.ts";
import { type SessionOutline, arithmeticOf, constantsOf } from "../arithmetic.ts";
import { cutAttention } from "../attention-chunk.ts";
import type { Session } from "../session.ts";
import type { Compiled, MadeProgram, Makeable } from "../session-programs.ts";

/** What distinguishes the programs of one block from those of another. */
export interface BlockStructure {
  readonly layer: number;
  /** Equal for layers that can share programs. */
  readonly key: string;
  /** How whole passes build it, apart from chunks of attention and dropped branches. */
  readonly options: PartOptions;
  /** Queries that attention processes at once; null: chosen by the length of the rows. */
  readonly attentionChunk: number | null;
  /** Whether later blocks read its keys and values. */
  readonly givesKeys: boolean;
  /** Inputs of the block that are trained, the base's own tensors and the adapter's. */
  readonly trained: readonly string[];
}

/** Describes the blocks of a model with an adapter. `training`: whether to draw dropout. */
export function structuresOf(
  session: SessionOutline & Pick<Session, "attentionChunk">,
  adapter: AdapterView,
  { training }: { readonly training: boolean },
): readonly BlockStructure[] {
  const { model } = session;
  return model.layers.map(({ kind }, layer) => {
    const { key: products, product, isSmoothed } = arithmeticOf(session, adapter, layer);
    const trained = adapter.trained(layer).map(({ input }) => input);
    const signature = adapter.signature(layer);
    const givesKeys = model.givesKeys(layer);
    const key = JSON.stringify([kind, signature, products, training, trained, ...(givesKeys ? [true] : [])]);
    const options = { ...partWith(adapter, layer), product, isSmoothed, training };
    return { layer, key, options, attentionChunk: session.attentionChunk, givesKeys, trained };
  });
}

/** Lists the frozen tensors that a block's forward and backward programs read, and which forms of them. */
export function tensorsRead(
  model: Model,
  { layer, options, trained }: BlockStructure,
): readonly TensorRead[] {
  const { part, x, y } = model.buildBlock(layer, options);
  const all = part.readsOf(neededInputs({ y }, { x, ...part.inputs() }));
  const own = new Set(trained);
  return all.filter(({ tensor }) => !own.has(tensor));
}

/** Properties of a pass that decide how a block is built. */
export interface BlockOptions {
  /** T, by which attention is split into chunks. */
  readonly length: number;
  /** Branches that the backward pass leaves out. */
  readonly dropped: readonly string[];
}

/** A program to cut from a block. */
interface BlockCut extends BlockOptions {
  /** What distinguishes it from other programs of the block. */
  readonly own: readonly unknown[];
}

/** Describes a program that is cut from a block. */
export function programOfBlock<T>(
  model: Model,
  { layer, key, options, attentionChunk }: BlockStructure,
  { own, length, dropped }: BlockCut,
  cut: (built: BuiltPart) => MadeProgram<T>,
): Makeable<T> {
  const chunk = cutAttention(length, attentionChunk);
  return {
    key: JSON.stringify([...own, key, chunk]),
    make: () => cut(model.buildBlock(layer, { ...options, chunk, dropped: new Set(dropped) })),
  };
}

/** Compiles a program of a block with the tensors that it binds, or returns the compiled one. */
export function compileOfBlock<T extends { readonly part: PartGraph }>(
  session: Session,
  { layer, options }: BlockStructure,
  { key, make }: Makeable<T>,
): Promise<Compiled<T>> {
  return session.compile(key, () => {
    const { spec, made } = make();
    return {
      spec,
      made,
      constants: () => constantsOf(session, layer, made.part.readsOf(spec.inputs)),
      // Folding would store the codes that gradients read as floats, in the programs of all blocks together.
      foldsConstants: !options.training,
    };
  });
}
