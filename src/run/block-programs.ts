/**
 * @file The programs of a model's blocks, compiled when first needed and shared by all blocks of equal structure.
 *
 * A forward program computes y, and gives the activations that are saved; a backward program is given these, and computes the
 * others again from x. That it may save what attention gives and nothing else is from "DISTFLASHATTN", arXiv:2310.03294.
 */
import { gradients } from "../graph/autodiff.ts";
import type { Value } from "../graph/graph.ts";
import { type ProgramSpec, neededInputs } from "../graph/program.ts";
import type { BuiltPart, Model } from "../models/model.ts";
import {
  ATTENDED,
  type BranchGraph,
  type PartGraph,
  type TensorRead,
  hasFixedSize,
} from "../models/part-graph.ts";
import { PLAIN_PART } from "../models/part-options.ts";
import { type AdapterView, type Placed, placedBy } from "../peft/adapter-view.ts";
import type { SmoothingRule } from "../nn/compute.ts";
import { type Arithmetic, type ArithmeticFacts, arithmeticOf, constantsOf } from "./arithmetic.ts";
import type { Compiled, Session, Source } from "./session.ts";

/** Queries that attention processes at once, and in rows that are longer than these many chunks. Measured: docs/log.md. */
const ATTENTION_CHUNK = 128;
const MANY_CHUNKS = 16;
const LONG_CHUNK = 256;

/** How attention cuts rows of T tokens: a program has nodes for each chunk, so long rows have larger ones unless `wanted` says. */
function cutAttention(
  numTokens: number,
  wanted: number | null,
): { readonly length: number; readonly count: number } {
  const usual = numTokens <= MANY_CHUNKS * ATTENTION_CHUNK ? ATTENTION_CHUNK : LONG_CHUNK;
  const length = wanted ?? usual;
  return { length, count: Math.max(1, Math.ceil(numTokens / length)) };
}

/** The activations that a forward program saves: none, all that the backward program reads, or of these what attention gives. */
export type Saves = boolean | "attention";

/** What makes the programs of a block differ from those of another. */
export interface BlockStructure {
  readonly layer: number;
  /** Equal for adapters on layers that can share programs. */
  readonly signature: string;
  readonly placed: Placed;
  readonly arithmetic: Arithmetic;
  readonly training: boolean;
  /** Queries that attention processes at once; null: by the length of the rows. */
  readonly attentionChunk: number | null;
  /** Inputs of the block that are trained, the base's own tensors and the adapter's. */
  readonly trained: readonly string[];
}

/** What makes a program differ from another of the same block. `given`: the saved activations that a backward program reads. */
export type BlockVariant = VariantFacts &
  (
    | { readonly kind: "forward"; readonly saves: Saves }
    | { readonly kind: "backward"; readonly given: readonly string[] }
  );

interface VariantFacts {
  /** T, by which the number of attention chunks is chosen. */
  readonly length: number;
  /** Whether something before the block wants a gradient. */
  readonly inputGradient: boolean;
  /** Branches whose backward is left out. */
  readonly dropped: readonly string[];
}

/** A gradient that a program writes: the output, and the input that is trained. */
export interface GradientOutput {
  readonly output: string;
  readonly input: string;
}

/** What a block's program was made from. */
export interface BlockProgram {
  readonly part: PartGraph;
  readonly gradients: readonly GradientOutput[];
  /** Outputs that are saved activations. */
  readonly saved: readonly string[];
}

/** A stretch of a block's residual stream as a program from `x` to `y`: a branch, with what follows before the next. */
export interface StretchProgram {
  readonly part: PartGraph;
  /** Whether the stream stays as it is when the branch does not run. */
  readonly isNothingElse: boolean;
}

/** Describes the blocks of a model with what sits on them. `training`: draw dropout. */
export function structuresOf(
  facts: ArithmeticFacts & Pick<Session, "attentionChunk">,
  adapter: AdapterView | null,
  training: boolean,
): readonly BlockStructure[] {
  return facts.model.layers.map((_, layer) => ({
    layer,
    signature: adapter?.signature(layer) ?? "frozen",
    placed: placedBy(adapter, layer),
    arithmetic: arithmeticOf(facts, adapter, layer),
    training,
    attentionChunk: facts.attentionChunk,
    trained: (adapter?.trained(layer) ?? []).map(({ input }) => input),
  }));
}

/** Compiles a block's program, or returns the one there is. */
export function compileBlock(
  session: Session,
  structure: BlockStructure,
  variant: BlockVariant,
): Promise<Compiled<BlockProgram>> {
  const { key, make } = blockProgram(session.model, structure, variant);
  return session.compile(key, () => withConstants(session, structure.layer, make()));
}

/** A program that can be made, under the key that tells it from all others of a session. */
export interface Makeable<T> {
  readonly key: string;
  readonly make: () => { readonly spec: ProgramSpec; readonly made: T };
}

/** A block's program, not compiled. */
export function blockProgram(
  model: Model,
  structure: BlockStructure,
  variant: BlockVariant,
): Makeable<BlockProgram> {
  const { kind, length, inputGradient, dropped } = variant;
  const activations = kind === "forward" ? variant.saves : variant.given;
  const own = ["block", kind, activations, structure.trained, inputGradient, dropped];
  const cut = (built: BuiltPart): ReturnType<typeof cutProgram> => cutProgram(built, structure, variant);
  return makeable(model, structure, own, length, dropped, cut);
}

/**
 * Compiles the forward program of a branch with what follows before the next one, or of that alone. A norm
 * behind a branch is so in one program with its sum, as in the whole block: the runtime joins them, and rounds otherwise.
 */
export function compileStretch(
  session: Session,
  structure: BlockStructure,
  length: number,
  index: number,
  runsBranch: boolean,
): Promise<Compiled<StretchProgram>> {
  const own = ["stretch", index, runsBranch];
  const { key, make } = makeable(session.model, structure, own, length, [], ({ part, x, y }) => {
    if (part.branches[0]?.input !== x)
      throw new RangeError("Cannot cut a block: it does not begin with a branch");
    const { name, input, sum } = part.branches[index] as BranchGraph;
    const end = part.branches[index + 1]?.input ?? y;
    const outputs = { y: end };
    const inputs = neededInputs(outputs, { x: runsBranch ? input : sum, ...part.inputs() });
    const spec = { name: `block-${runsBranch ? "" : "without-"}${name}`, inputs, outputs };
    return { spec, made: { part, isNothingElse: end === sum } };
  });
  return session.compile(key, () => withConstants(session, structure.layer, make()));
}

/** What a program that measures factors was made from. */
export interface SmoothingProgram {
  readonly part: PartGraph;
  /** The matrices that read the same, by the output that their factors are. */
  readonly tensors: Readonly<Record<string, readonly string[]>>;
}

/** Compiles the forward program of a block that also gives factors on what its matrices multiply. */
export function compileSmoothing(
  session: Session,
  structure: BlockStructure,
  length: number,
  smoothing: SmoothingRule,
): Promise<Compiled<SmoothingProgram>> {
  const { key, make } = makeable(session.model, structure, ["smoothing"], length, [], ({ part, x, y }) => {
    const tensors: Record<string, readonly string[]> = {};
    const outputs: Record<string, Value> = { y };
    for (const [value, readers] of part.readers) {
      // How many rows an expert gets is not known; it may be none.
      if (!hasFixedSize(value)) continue;
      const name = `smoothing:${Object.keys(tensors).length}`;
      outputs[name] = smoothing(
        value,
        [...readers.values()].map((dense) => dense()),
      );
      tensors[name] = [...readers.keys()];
    }
    const inputs = neededInputs(outputs, { x, ...part.inputs() });
    return { spec: { name: "block-smoothing", inputs, outputs }, made: { part, tensors } };
  });
  return session.compile(key, () => withConstants(session, structure.layer, make()));
}

function makeable<T>(
  model: Model,
  { layer, signature, placed, arithmetic, training, attentionChunk }: BlockStructure,
  own: readonly unknown[],
  length: number,
  dropped: readonly string[],
  cut: (built: BuiltPart) => { spec: ProgramSpec; made: T },
): Makeable<T> {
  const chunk = cutAttention(length, attentionChunk);
  const ofLayer = [model.layers[layer]?.kind, signature, arithmetic.key, training, chunk];
  const options = {
    ...PLAIN_PART,
    ...placed,
    product: arithmetic.product,
    isSmoothed: arithmetic.isSmoothed,
    training,
    chunk,
    dropped: new Set(dropped),
  };
  return {
    key: JSON.stringify([...own, ofLayer]),
    make: () => cut(model.buildBlock(layer, options)),
  };
}

function withConstants<T extends { readonly part: PartGraph }>(
  session: Session,
  layer: number,
  program: { readonly spec: ProgramSpec; readonly made: T },
): Source<T> {
  const { spec, made } = program;
  return { spec, made, constants: () => constantsOf(session, layer, made.part, spec.inputs) };
}

/** Lists the frozen tensors of a block that its forward and backward programs read, and what of them. */
export function tensorsRead(
  model: Model,
  { layer, placed, arithmetic: { product, isSmoothed }, trained }: BlockStructure,
): readonly TensorRead[] {
  const { part, x, y } = model.buildBlock(layer, { ...PLAIN_PART, ...placed, product, isSmoothed });
  const all = part.readsOf(neededInputs({ y }, { x, ...part.inputs() }));
  return all.filter(({ tensor }) => !trained.includes(tensor));
}

function cutProgram(
  { part, x, y }: BuiltPart,
  { trained }: BlockStructure,
  variant: BlockVariant,
): { spec: ProgramSpec; made: BlockProgram } {
  const { kind, inputGradient } = variant;
  const given = { x, ...part.inputs() };
  const finish = (
    name: string,
    candidates: Record<string, Value>,
    outputs: Record<string, Value>,
    own: Partial<BlockProgram> = {},
  ): { spec: ProgramSpec; made: BlockProgram } => ({
    spec: { name: `block-${name}`, inputs: neededInputs(outputs, candidates), outputs },
    made: { part, gradients: [], saved: [], ...own },
  });
  const pick = (isWanted: (name: string) => boolean): Record<string, Value> =>
    Object.fromEntries(Object.entries(part.saved).filter(([name]) => isWanted(name)));
  if (kind === "forward" && variant.saves === false) return finish("forward", given, { y });
  const dy = part.graph.input("dy", "float32", y.shape);
  const values = trained.map((name) => (part.adapter[name] ?? part.tensors[name]) as Value);
  const [dx, ...found] = gradients([{ value: y, gradient: dy }], [x, ...values]);
  const written = trained.flatMap((name, i) => {
    const value = found[i];
    return value ? [{ output: `gradient:${name}`, input: name, value }] : [];
  });
  const backward: Record<string, Value> = {
    ...(inputGradient && dx ? { dx } : {}),
    ...Object.fromEntries(written.map(({ output, value }) => [output, value])),
  };
  if (kind === "forward") {
    const wanted = pick((name) => variant.saves === true || name === ATTENDED);
    const needed = neededInputs(backward, { ...given, ...wanted });
    const saved = pick((name) => name in needed && name in wanted);
    return finish("forwardSaving", given, { y, ...saved }, { saved: Object.keys(saved) });
  }
  const isAnew = variant.given.length === 0;
  const candidates = { ...given, dy, ...pick((name) => variant.given.includes(name)) };
  return finish(isAnew ? "backwardRecompute" : "backward", candidates, backward, {
    gradients: written.map(({ output, input }) => ({ output, input })),
  });
}
