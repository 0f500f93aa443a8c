/**
 * @file Executes programs with ONNX Runtime in Node, on the CPU.
 *
 * Session options were chosen by measurement (docs/log.md): all graph optimisations, one operator at a time on all
 * threads, memory planned as it is needed rather than by pattern.
 */
import { availableParallelism } from "node:os";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { toOnnx } from "../graph/onnx.ts";
import type { ProgramSpec } from "../graph/program.ts";
import type { CompileOptions, Engine, Program, Tensors } from "./engine.ts";
import type { HostTensor } from "./host-tensor.ts";

/** Threads that wait must not spin: two busy processes would slow each other down several times. */
const SESSION_ENTRIES = { session: { intra_op: { allow_spinning: "0" } } };

/** Settings of the engine. */
export interface OrtNodeOptions {
  /** Threads inside an operator; default: all processors. */
  readonly threads?: number;
  /**
   * Whether each program keeps the memory that it has used for its next run, which is the default; without it, what a step
   * takes at its peak is less by the scratch of all programs but one, and the step somewhat slower.
   */
  readonly keepScratch?: boolean;
  /** Writes an operator profile under this file prefix for every program. */
  readonly profilePrefix?: string;
}

/** Makes an engine on ONNX Runtime for Node. */
export function createOrtEngine(options: OrtNodeOptions = {}): Engine {
  const threads = options.threads ?? availableParallelism();
  return {
    name: "onnxruntime-node",
    threads,
    compile: (spec, compileOptions) => OrtProgram.compile(spec, { ...options, threads }, compileOptions),
  };
}

class OrtProgram implements Program {
  readonly spec: ProgramSpec;
  readonly #session: InferenceSession;
  readonly #constants: Tensors;
  /** ONNX Runtime's view of each host tensor that was ever given, made once. */
  readonly #views = new WeakMap<HostTensor, Tensor>();

  private constructor(spec: ProgramSpec, session: InferenceSession, constants: Tensors) {
    this.spec = spec;
    this.#session = session;
    this.#constants = constants;
  }

  static async compile(
    spec: ProgramSpec,
    { threads, keepScratch = true, profilePrefix }: OrtNodeOptions & { readonly threads: number },
    options: CompileOptions = {},
  ): Promise<OrtProgram> {
    const session = await InferenceSession.create(toOnnx(spec), {
      executionProviders: ["cpu"],

      graphOptimizationLevel: "all",
      executionMode: "sequential",
      enableMemPattern: false,
      enableCpuMemArena: keepScratch,
      extra: SESSION_ENTRIES,
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
      ...(profilePrefix === undefined
        ? {}
        : { enableProfiling: true, profileFilePrefix: `${profilePrefix}-${spec.name}` }),
    });
    return new OrtProgram(spec, session, options.constants ?? {});
  }

  #view(tensor: HostTensor): Tensor {
    let view = this.#views.get(tensor);
    if (!view) {
      view = viewOf(tensor);
      this.#views.set(tensor, view);
    }
    return view;
  }

  #pick(kind: string, names: Iterable<string>, from: Tensors): Record<string, Tensor> {
    const picked: Record<string, Tensor> = {};
    for (const name of names) {
      const tensor = from[name];
      if (!tensor)
        throw new RangeError(`Cannot run program "${this.spec.name}": ${kind} "${name}" is not given`);
      picked[name] = this.#view(tensor);
    }
    return picked;
  }

  async run(feeds: Tensors, into: Tensors): Promise<void> {
    const inputs = this.#pick("input", Object.keys(this.spec.inputs), { ...this.#constants, ...feeds });
    const outputs = this.#pick("output", Object.keys(this.spec.outputs), into);
    await this.#session.run(inputs, outputs);
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** Wraps host memory without copying it. */
function viewOf({ dtype, shape, data }: HostTensor): Tensor {
  if (dtype !== "float16") return new Tensor(dtype as "float32", data as Float32Array, shape);
  // Tensor would make a Float16Array of the raw bits, which the native side does not know: name the type afterwards.
  const view = new Tensor("uint16", data as Uint16Array, shape);
  return Object.assign(view, { type: "float16" });
}
