/**
 * @file Executes programs with onnxruntime-node's own binding, the fallback where its library cannot be called directly.
 *
 * It copies every output, feeds constants at every run, and runs on the thread of JavaScript.
 */
import { availableParallelism } from "node:os";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import type { Target } from "../../graph/emitter.ts";
import { toOnnx } from "../../graph/onnx.ts";
import type { ProgramSpec } from "../../graph/program.ts";
import type { Borrowed } from "../memory/borrowed-memory.ts";
import { declineTelemetry } from "./decline-telemetry.ts";
import { CheckedProgram, type Constants, type Executable } from "../checked-program.ts";
import type { Engine, EngineOptions } from "../engine.ts";
import { findTarget } from "../find-target.ts";
import type { HostTensor } from "../host-tensor.ts";
import { makeCounted } from "../memory/program-memory.ts";

/** Waiting threads must not spin: two busy processes would slow each other down several times. */
const SESSION_ENTRIES = { session: { intra_op: { allow_spinning: "0" } } };

/** Makes an engine on the binding, which is loaded with the first program, since it takes memory. */
export function createNodeEngine(options: EngineOptions = {}): Engine {
  const all = options.threads ?? availableParallelism();
  const borrowed = new WeakMap<HostTensor, Borrowed<Tensor>>();
  const compileFor =
    (target: () => Target | Promise<Target>): Engine["compile"] =>
    (spec, { constants = {}, threads = all } = {}) =>
      CheckedProgram.create(spec, constants, borrowed, async (bound) =>
        Session.create(spec, { ...options, threads, target: await target() }, bound),
      );
  const target = findTarget(compileFor);
  return {
    name: "onnxruntime-node",
    threads: all,
    // Not shared memory: before Node 24 the binding cannot find its address.
    makeMemory: makeCounted,
    target,
    compile: compileFor(target),
  };
}

class Session implements Executable<Tensor> {
  readonly #session: InferenceSession;
  readonly #makeTensor: typeof Tensor;
  readonly #constants: Constants<Tensor>;
  readonly #inputNames: readonly string[];
  readonly #outputNames: readonly string[];

  private constructor(
    session: InferenceSession,
    makeTensor: typeof Tensor,
    spec: ProgramSpec,
    constants: Constants<Tensor>,
  ) {
    this.#session = session;
    this.#makeTensor = makeTensor;
    this.#constants = constants;
    this.#inputNames = Object.keys(spec.inputs).filter((name) => !constants.has(name));
    this.#outputNames = Object.keys(spec.outputs);
  }

  static async create(
    spec: ProgramSpec,
    {
      threads,
      target,
      shareScratch = false,
      profilePrefix,
    }: EngineOptions & { readonly threads: number; readonly target: Target },
    constants: Constants<Tensor>,
  ): Promise<Session> {
    declineTelemetry();
    const { InferenceSession, Tensor } = await import("onnxruntime-node");
    const session = await InferenceSession.create(toOnnx(spec, target), {
      executionProviders: ["cpu"],
      graphOptimizationLevel: "all",
      executionMode: "sequential",
      enableMemPattern: false,
      enableCpuMemArena: !shareScratch,
      extra: SESSION_ENTRIES,
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
      ...(profilePrefix === undefined
        ? {}
        : { enableProfiling: true, profileFilePrefix: `${profilePrefix}-${spec.name}` }),
    });
    return new Session(session, Tensor, spec, constants);
  }

  #tensors(names: readonly string[], of: readonly Borrowed<Tensor>[]): Record<string, Tensor> {
    return Object.fromEntries(names.map((name, i) => [name, this.#view(of[i]!)]));
  }

  #view(one: Borrowed<Tensor>): Tensor {
    return (one.native ??= viewOf(this.#makeTensor, one));
  }

  async run(inputs: readonly Borrowed<Tensor>[], outputs: readonly Borrowed<Tensor>[]): Promise<void> {
    const feeds = this.#tensors(this.#inputNames, inputs);
    for (const [name, constant] of this.#constants) feeds[name] = this.#view(constant);
    await this.#session.run(feeds, this.#tensors(this.#outputNames, outputs));
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** Wraps host memory without copying it. */
function viewOf(makeTensor: typeof Tensor, { dtype, shape, data }: Borrowed<Tensor>): Tensor {
  if (dtype !== "float16") return new makeTensor(dtype as "float32", data as Float32Array, shape);
  // Tensor would make a Float16Array of the raw bits, which the native side does not know, so the type is set afterwards.
  const view = new makeTensor("uint16", data as Uint16Array, shape);
  return Object.assign(view, { type: "float16" });
}
