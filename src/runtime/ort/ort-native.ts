/**
 * @file Executes programs with ONNX Runtime through its C API, on the CPU, without a copy of inputs, outputs or constants.
 *
 * Long runs take place on another thread.
 */
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import type { Target } from "../../graph/emitter.ts";
import { toOnnx } from "../../graph/onnx.ts";
import type { ProgramSpec } from "../../graph/program.ts";
import type { Borrowed } from "../memory/borrowed-memory.ts";
import { CheckedProgram, type Constants, type Executable } from "../checked-program.ts";
import type { Engine, EngineOptions } from "../engine.ts";
import { findTarget } from "../find-target.ts";
import { makeUncounted } from "../memory/program-memory.ts";
import type { HostTensor } from "../host-tensor.ts";
import { leaveArena, shareArena } from "./shared-arena.ts";
import { type OrtApi, loadOrtApi, pointers } from "./ort-c-api.ts";
import { type OrtValue, Texts, valueOf } from "./ort-values.ts";
import { type SessionSettings, bind, configure } from "./session-options.ts";

/** Shorter runs are not worth another thread: the change costs 60 to 80 µs, and the contents of the processor's caches. */
const MAX_SYNC_MS = 5;
/** After this time of short runs the event loop gets a turn, for timers, signals and finalizers. */
const MAX_BUSY_MS = 10;

/** Finds the properties of the processor; shared by all engines. */
let findsTarget: Engine["target"] | undefined;

/** Makes an engine on the C API. @throws Error where koffi or the library has no build */
export function createNativeEngine(options: EngineOptions = {}): Engine {
  const api = loadOrtApi();
  const all = options.threads ?? availableParallelism();
  const borrowed = new WeakMap<HostTensor, Borrowed<OrtValue>>();
  const clock = new Clock();
  const compileFor =
    (target: () => Target | Promise<Target>): Engine["compile"] =>
    (spec, { constants = {}, threads = all, foldsConstants = true } = {}) =>
      CheckedProgram.create(spec, constants, borrowed, async (bound) => {
        const settings = { ...options, threads, foldsConstants, target: await target() };
        return Session.create({ api, clock }, spec, settings, bound);
      });
  const target = (findsTarget ??= findTarget(compileFor));
  return {
    name: "onnxruntime",
    threads: all,
    makeMemory: makeUncounted,
    target,
    compile: compileFor(target),
  };
}

/** Knows when the event loop last had a turn. */
class Clock {
  #lastTurnMs = performance.now();

  turned(): void {
    this.#lastTurnMs = performance.now();
  }

  /** Waits for a turn of the event loop if one is due. */
  turn(nowMs: number): Promise<void> | void {
    if (nowMs - this.#lastTurnMs > MAX_BUSY_MS) return setImmediate().then(() => this.turned());
  }
}

/** What the sessions of an engine share. */
interface SessionHost {
  readonly api: OrtApi;
  readonly clock: Clock;
}

interface SessionParts extends SessionHost {
  /** Handle of the environment. */
  readonly env: bigint;
  /** Whether its scratch is shared with other sessions. */
  readonly shareScratch: boolean;
  /** Handle of the session. */
  readonly session: bigint;
  /** Names of inputs and outputs, in the order of the specification. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

class Session implements Executable<OrtValue> {
  readonly #api: OrtApi;
  readonly #env: bigint;
  readonly #clock: Clock;
  readonly #session: bigint;
  readonly #inputNames: Texts;
  readonly #outputNames: Texts;
  /** Unused arrays of OrtValues, each pair for one run at a time. */
  readonly #idle: { inputs: BigUint64Array; outputs: BigUint64Array }[] = [];
  readonly #sharesScratch: boolean;
  #lastRunMs = Number.POSITIVE_INFINITY;

  private constructor({ api, env, clock, shareScratch, session, inputs, outputs }: SessionParts) {
    this.#api = api;
    this.#env = env;
    this.#clock = clock;
    this.#session = session;
    this.#sharesScratch = shareScratch;
    this.#inputNames = new Texts(api, inputs);
    this.#outputNames = new Texts(api, outputs);
    api.releaseWith(this, "session", session);
  }

  static async create(
    { api, clock }: SessionHost,
    spec: ProgramSpec,
    options: SessionSettings & { readonly target: Target },
    constants: Constants<OrtValue>,
  ): Promise<Session> {
    const external = new Map(
      [...constants].map(([name, { shape }]) => [name, { shape, location: "caller" }] as const),
    );
    const model = toOnnx(spec, options.target, { external });
    const { shareScratch = false } = options;
    const env = await api.env;
    const settings = api.make("createSessionOptions");
    let sharesArena = false;
    try {
      if (shareScratch) shareArena(api, env);
      sharesArena = shareScratch;
      configure(api, settings, spec.name, options);
      bind(api, settings, constants);
      const out = pointers(1);
      const args = [env, model, model.length, settings, out] as const;
      if (api.canCallAsync) await api.callAsync("createSessionFromArray", ...args);
      else api.call("createSessionFromArray", ...args);
      clock.turned();
      const inputs = Object.keys(spec.inputs).filter((name) => !constants.has(name));
      const outputs = Object.keys(spec.outputs);
      return new Session({ api, env, clock, shareScratch, session: out[0]!, inputs, outputs });
    } catch (error) {
      if (sharesArena) leaveArena(api, env);
      throw new Error(`Cannot compile program "${spec.name}": ${(error as Error).message}`, { cause: error });
    } finally {
      api.release("sessionOptions", settings);
    }
  }

  run(inputs: readonly Borrowed<OrtValue>[], outputs: readonly Borrowed<OrtValue>[]): Promise<void> | void {
    const values = this.#idle.pop() ?? { inputs: pointers(inputs.length), outputs: pointers(outputs.length) };
    for (let i = 0; i < inputs.length; i++) values.inputs[i] = valueOf(this.#api, inputs[i]!);
    for (let i = 0; i < outputs.length; i++) values.outputs[i] = valueOf(this.#api, outputs[i]!);
    const [inputNames, outputNames] = [this.#inputNames.addresses, this.#outputNames.addresses];
    const args = [
      this.#session,
      null,
      inputNames,
      values.inputs,
      inputs.length,
      outputNames,
      outputs.length,
      values.outputs,
    ] as const;
    const start = performance.now();
    if (this.#lastRunMs > MAX_SYNC_MS && this.#api.canCallAsync) {
      // From here on the buffers must not be transferred to another thread: their memory would go with them.
      for (const one of inputs) one.loans.fix();
      for (const one of outputs) one.loans.fix();
      return this.#api.callAsync("run", ...args).finally(() => {
        this.#lastRunMs = performance.now() - start;
        this.#clock.turned();
        this.#idle.push(values);
      });
    }
    this.#api.call("run", ...args);
    this.#idle.push(values);
    const end = performance.now();
    this.#lastRunMs = end - start;
    return this.#clock.turn(end);
  }

  release(): void {
    this.#api.keep(this);
    this.#api.release("session", this.#session);
    if (this.#sharesScratch) leaveArena(this.#api, this.#env);
  }
}
