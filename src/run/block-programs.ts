/**
 * @file The programs of a model's blocks, compiled when first needed and shared by all blocks of equal structure.
 *
 * `forward` computes y; `forwardSaving` also gives the activations that `backward` reads; `backwardRecompute` computes
 * them again from x.
 */
import { gradients } from "../graph/autodiff.ts";
import type { Value } from "../graph/graph.ts";
import { type ProgramSpec, neededInputs } from "../graph/program.ts";
import type { BuiltPart, Model } from "../models/model.ts";
import { PLAIN_PART, type PartGraph } from "../models/part-graph.ts";
import type { Projector } from "../models/site-graph.ts";
import type { Compiled, Session } from "./session.ts";

/** Queries that attention processes at once. Measured: docs/log.md. */
export const ATTENTION_CHUNK = 256;

export type BlockProgramKind = "forward" | "forwardSaving" | "backward" | "backwardRecompute";

/** What makes the programs of a block differ from those of another. */
export interface BlockStructure {
  readonly layer: number;
  /** Equal for adapters on layers that can share programs. */
  readonly signature: string;
  readonly projector: Projector;
  readonly training: boolean;
  /** Inputs of the block that are trained, the base's own tensors and the adapter's. */
  readonly trained: readonly string[];
}

/** What makes a program differ from another of the same block. */
export interface BlockVariant {
  readonly kind: BlockProgramKind;
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

/** Compiles a block's program, or returns the one there is. */
export function compileBlock(
  session: Session,
  structure: BlockStructure,
  variant: BlockVariant,
): Promise<Compiled<BlockProgram>> {
  const { layer, signature, training, trained } = structure;
  const { kind, length, inputGradient, dropped } = variant;
  const numChunks = Math.max(1, Math.ceil(length / ATTENTION_CHUNK));
  const layerKind = session.model.layers[layer]?.kind;
  const key = ["block", kind, layerKind, signature, training, trained, inputGradient, numChunks, dropped];
  return session.compile(JSON.stringify(key), () => {
    const built = session.model.buildBlock(layer, {
      ...PLAIN_PART,
      projector: structure.projector,
      training,
      chunk: { length: ATTENTION_CHUNK, count: numChunks },
      dropped: new Set(dropped),
    });
    return cutProgram(built, structure, variant);
  });
}

/** Lists the tensors of a block, by path inside the block, that its forward and backward programs read. */
export function tensorsRead(model: Model, layer: number, projector: Projector): readonly string[] {
  const { part, x, y } = model.buildBlock(layer, { ...PLAIN_PART, projector });
  const read = neededInputs({ y }, { x, ...part.inputs() });
  return Object.keys(part.tensors).filter((name) => name in read);
}

function cutProgram(
  { part, x, y }: BuiltPart,
  { trained }: BlockStructure,
  { kind, inputGradient }: BlockVariant,
): { spec: ProgramSpec; made: BlockProgram } {
  const given = { x, ...part.inputs() };
  const finish = (
    candidates: Record<string, Value>,
    outputs: Record<string, Value>,
    own: Partial<BlockProgram> = {},
  ): { spec: ProgramSpec; made: BlockProgram } => ({
    spec: { name: `block-${kind}`, inputs: neededInputs(outputs, candidates), outputs },
    made: { part, gradients: [], saved: [], ...own },
  });
  if (kind === "forward") return finish(given, { y });
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
  const needed = neededInputs(backward, { ...given, ...part.saved });
  const saved = Object.fromEntries(Object.entries(part.saved).filter(([name]) => name in needed));
  if (kind === "forwardSaving") return finish(given, { y, ...saved }, { saved: Object.keys(saved) });
  const candidates = { ...given, dy, ...(kind === "backward" ? saved : {}) };
  return finish(candidates, backward, {
    gradients: written.map(({ output, input }) => ({ output, input })),
  });
}
