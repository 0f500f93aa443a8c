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

/** A compiled graph, which can run any number of times. The caller of `compile` releases it. */
export interface Program {
  readonly spec: ProgramSpec;
  /**
   * Runs the program on `feeds` and writes every output into the tensors of `into`, which the caller owns and whose shapes must
   * be those of this run. Names that the program does not have are ignored. Until the run has ended the memory of both belongs to
   * it; afterwards it still cannot be transferred to another thread.
   * @throws RangeError for a tensor that is missing, has another shape or whose memory is in use, and after `release`
   * @throws TypeError for one of another element type, or in memory that can be resized
   */
  run(feeds: Tensors, into: Tensors): Promise<void>;
  /** Frees the compiled program once the runs that have begun are done. */
  release(): Promise<void>;
}

/** How a program is compiled. */
export interface CompileOptions {
  /**
   * Inputs that never change. An engine that can binds them once, without a copy, in a layout of its choice. `run` is not given
   * them; their memory is lent until the program is released. Names that the program does not have are ignored.
   */
  readonly constants?: Tensors;
  /**
   * Whether values that depend only on constants, such as floats decoded from codes, are computed once at compile time and kept.
   * Default: true.
   */
  readonly foldsConstants?: boolean;
  /** Threads inside an operator of this program; default: those of the engine. */
  readonly threads?: number;
}

/** The limit of llama.cpp. Each program starts this many threads, and a few thousand would keep a machine from doing anything else. */
export const MAX_THREADS = 512;

/** How an engine computes; all settings have defaults. */
export interface EngineOptions {
  /** Threads inside an operator, `MAX_THREADS` at most; default: all processors. */
  readonly threads?: number | undefined;
  /**
   * Whether programs share the memory for values between their nodes (scratch), which lowers the peak of a step by the scratch of
   * all programs but the largest. Default: each keeps its own. Where an engine cannot share it, no program keeps any.
   */
  readonly shareScratch?: boolean;
  /** Writes an operator profile under this file prefix for every program. */
  readonly profilePrefix?: string;
}

/** Executes programs. */
export interface Engine {
  readonly name: string;
  readonly threads: number;
  /** Makes memory of zeros, of the kind that the engine prefers for inputs and outputs. */
  readonly makeMemory: MakeMemory;
  /** The properties of the processor that decide how programs are written; measured at the first call. */
  readonly target: () => Promise<Target>;
  /** Compiles a program. @throws RangeError, TypeError for a constant that does not fit */
  compile(spec: ProgramSpec, options?: CompileOptions): Promise<Program>;
}

/** Checks an engine that a caller passes. */
export const AN_ENGINE = objectWith<Engine>(
  "an engine, as createEngine() returns it",
  "compile",
  "makeMemory",
  "target",
);

/** An engine like another one, whose programs run on the given number of threads; for programs that run at the same time. */
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
