/**
 * @file The programs of a model's blocks, compiled when first needed and shared by all blocks of equal structure.
 *
 * `forward` computes y; `forwardKeeping` also gives the activations that `backward` reads; `backwardAnew` computes them
 * again from x.
 */
import { gradients } from "../graph/autodiff.ts";
import type { Value } from "../graph/graph.ts";
import { type ProgramSpec, neededInputs } from "../graph/program.ts";
import type { Architecture, ModelConfig } from "../models/architecture.ts";
import { type BlockGraph, type Projector, buildBlockGraph } from "../models/block-graph.ts";
import type { Engine, Program } from "../runtime/engine.ts";

/** Queries that attention processes at once. Measured: docs/log.md. */
export const ATTENTION_CHUNK = 256;

/** A kind of block program. */
export type BlockProgramKind = "forward" | "forwardKeeping" | "backward" | "backwardAnew";

/** What makes a program differ from another. */
export interface BlockVariant {
  readonly kind: BlockProgramKind;
  /** Equal for blocks that can share programs. */
  readonly signature: string;
  readonly training: boolean;
  /** T, by which the number of attention chunks is chosen. */
  readonly length: number;
  readonly projector: Projector;
  /** Names inside the block of the tensors that are trained, the base's own and the adapter's. */
  readonly trained: readonly string[];
  /** Whether something before the block wants a gradient. */
  readonly inputGradient: boolean;
}

/** A compiled program with the graph it was cut from. */
export interface BlockProgram {
  readonly program: Program;
  readonly block: BlockGraph;
}

export class BlockPrograms {
  readonly #engine: Engine;
  readonly #architecture: Architecture;
  readonly #config: ModelConfig;
  readonly #compiled = new Map<string, Promise<BlockProgram>>();

  constructor(engine: Engine, architecture: Architecture, config: ModelConfig) {
    this.#engine = engine;
    this.#architecture = architecture;
    this.#config = config;
  }

  /** Compiles a program, or returns the one there is. */
  get(variant: BlockVariant): Promise<BlockProgram> {
    const { kind, signature, training, trained, inputGradient } = variant;
    const numChunks = Math.max(1, Math.ceil(variant.length / ATTENTION_CHUNK));
    const key = JSON.stringify([kind, signature, training, trained, inputGradient, numChunks]);
    let compiled = this.#compiled.get(key);
    if (!compiled) {
      compiled = this.#compile(variant, numChunks);
      this.#compiled.set(key, compiled);
    }
    return compiled;
  }

  async #compile(variant: BlockVariant, numChunks: number): Promise<BlockProgram> {
    const block = buildBlockGraph(this.#architecture, this.#config, {
      projector: variant.projector,
      cached: false,
      training: variant.training,
      chunk: { length: ATTENTION_CHUNK, count: numChunks },
    });
    const spec = specOf(variant, block);
    return { program: await this.#engine.compile(spec), block };
  }

  /** Frees all programs. */
  async release(): Promise<void> {
    for (const compiled of this.#compiled.values())
      await (await compiled.catch(() => null))?.program.release();
    this.#compiled.clear();
  }
}

/** Lists the tensors of a block, by path inside the block, that its forward and backward programs read. */
export function tensorsRead(
  architecture: Architecture,
  config: ModelConfig,
  projector: Projector,
): readonly string[] {
  const { x, y, tensors, context, adapter } = buildBlockGraph(architecture, config, {
    projector,
    cached: false,
    training: false,
    chunk: { length: ATTENTION_CHUNK, count: 1 },
  });
  const read = neededInputs({ y }, { x, ...context, ...tensors, ...adapter });
  return Object.keys(tensors).filter((name) => name in read);
}

/** Prefix of the output that holds a parameter's gradient. */
export const GRADIENT = "gradient:";

function specOf(variant: BlockVariant, block: BlockGraph): ProgramSpec {
  const { kind } = variant;
  const dropout = Object.fromEntries(
    Object.entries(block.dropout).map(([site, { mask }]) => [`dropout.${site}`, mask]),
  );
  const all = { x: block.x, ...block.context, ...block.tensors, ...block.adapter, ...dropout };
  if (kind === "forward") return cut(kind, all, { y: block.y });
  const backward = backwardOutputs(variant, block);
  const kept = neededInputs(backward.outputs, { ...all, ...block.kept });
  const keptOnly = Object.fromEntries(Object.entries(block.kept).filter(([name]) => name in kept));
  if (kind === "forwardKeeping") return cut(kind, all, { y: block.y, ...keptOnly });
  const given = { ...all, dy: backward.dy };
  return cut(kind, kind === "backward" ? { ...given, ...keptOnly } : given, backward.outputs);
}

/** Cuts a program with only the inputs that it needs. */
function cut(name: string, candidates: Record<string, Value>, outputs: Record<string, Value>): ProgramSpec {
  return { name: `block-${name}`, inputs: neededInputs(outputs, candidates), outputs };
}

function backwardOutputs(
  variant: BlockVariant,
  block: BlockGraph,
): { dy: Value; outputs: Record<string, Value> } {
  const dy = block.graph.input("dy", "float32", block.y.shape);
  const parameters = Object.fromEntries(
    variant.trained.map((name) => [name, (block.adapter[name] ?? block.tensors[name]) as Value]),
  );
  const names = Object.keys(parameters);
  const [dx, ...rest] = gradients(
    [{ value: block.y, gradient: dy }],
    [block.x, ...Object.values(parameters)],
  );
  const outputs: Record<string, Value> = {};
  if (variant.inputGradient && dx) outputs["dx"] = dx;
  names.forEach((name, i) => {
    const gradient = rest[i];
    if (gradient) outputs[GRADIENT + name] = gradient;
  });
  return { dy, outputs };
}
