/**
 * @file The contract between graft and whatever executes its programs.
 *
 * A program's outputs go into memory that the caller owns, so that a steady loop allocates nothing.
 */
import { objectWith } from "../messages/arguments.ts";
import type { Target } from "../graph/emitter.ts";
import type { ProgramSpec } from "../graph/program.ts";
import type { Tensors } from "./host-tensor.ts";
import type { MakeMemory } from "./memory/program-memory.ts";

/** A compiled graph, which runs as often as it is asked to. Whoever had it compiled releases it. */
export interface Program {
  readonly spec: ProgramSpec;
  /**
   * Runs the program on `feeds` and writes every output into the tensors of `into`, which the caller owns and whose
   * shapes must be those of this run. Names that the program does not have are not looked at. Until the run has ended
   * the memory of both belongs to it, and it can no longer be transferred to another thread.
   * @throws RangeError for a tensor that is not given, of another shape or whose memory is in use, and after `release`
   * @throws TypeError for one of another element type, or in memory that can be resized
   */
  run(feeds: Tensors, into: Tensors): Promise<void>;
  /** Frees the compiled program, when the runs that have begun are done. */
  release(): Promise<void>;
}

/** How a program is compiled. */
export interface CompileOptions {
  /**
   * Inputs that never change: where the engine can, bound once, without a copy, and laid out as it likes. They are not fed
   * by `run`; their memory is lent until the program is released. Names that the program does not have are not looked at.
   */
  readonly constants?: Tensors;
  /**
   * Whether what follows from them alone is computed when the program is compiled, and kept: codes of a few bits as floats. True
   * unless given.
   */
  readonly foldsConstants?: boolean;
  /** Threads inside an operator of this program; those of the engine unless given. */
  readonly threads?: number;
}

/** As llama.cpp has it. Each program starts so many threads, and with some thousands a machine does nothing else. */
export const MAX_THREADS = 512;

/** How an engine computes; all settings have defaults. */
export interface EngineOptions {
  /** Threads inside an operator, `MAX_THREADS` at most; default: all processors. */
  readonly threads?: number | undefined;
  /**
   * Whether programs share the memory between their nodes, so that what a step takes at its peak is less by the scratch of
   * all programs but the largest; each keeps its own unless given. Where they cannot, none keeps any.
   */
  readonly shareScratch?: boolean;
  /** Writes an operator profile under this file prefix for every program. */
  readonly profilePrefix?: string;
}

/** Executes programs. */
export interface Engine {
  readonly name: string;
  readonly threads: number;
  /** Makes memory of zeros that it would rather have programs read and write. */
  readonly makeMemory: MakeMemory;
  /** What of the processor decides how programs are written, found when it is first asked for. */
  readonly target: () => Promise<Target>;
  /** Compiles a program. @throws RangeError, TypeError for a constant that does not fit */
  compile(spec: ProgramSpec, options?: CompileOptions): Promise<Program>;
}

/** What callers give as an engine. */
export const AN_ENGINE = objectWith<Engine>(
  "an engine, as createEngine() returns it",
  "compile",
  "makeMemory",
  "target",
);

/** An engine like another one, for programs that run beside each other, each on so many threads. */
export function onThreads(engine: Engine, threads: number): Engine {
  const { name, makeMemory, target } = engine;
  return {
    name,
    threads,
    makeMemory,
    target,
    compile: (spec, options) => engine.compile(spec, { threads, ...options }),
  };
}
