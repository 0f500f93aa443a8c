/**
 * @file Settings of a session, and its constants. Chosen by measurement (docs/log.md#session-options-and-the-binding): all graph
 * optimisations, one operator at a time on all threads, memory allocated on demand rather than by a recorded pattern.
 */
import type { Constants } from "../checked-program.ts";
import type { CompileOptions, EngineOptions } from "../engine.ts";
import { LOG_ERRORS, type OrtApi, pointers } from "./ort-c-api.ts";
import { type OrtValue, Texts, valueOf } from "./ort-values.ts";

/** ORT_ENABLE_ALL. */
const OPTIMIZE_ALL = 99;
/** How long threads look for work before they sleep: docs/log.md#session-options-and-the-binding. */
const SPIN_US = "60";
/** How one program is compiled. */
export type SessionSettings = EngineOptions & Required<Pick<CompileOptions, "threads" | "foldsConstants">>;

/** Sets the options of a new session. */
export function configure(
  api: OrtApi,
  settings: bigint,
  programName: string,
  { threads, shareScratch = false, profilePrefix, foldsConstants }: SessionSettings,
): void {
  api.call("setSessionLogSeverityLevel", settings, LOG_ERRORS);
  api.call("setSessionGraphOptimizationLevel", settings, OPTIMIZE_ALL);
  api.call("setIntraOpNumThreads", settings, threads);
  api.call("setInterOpNumThreads", settings, 1);
  api.call("disableMemPattern", settings);
  // Threads spin briefly, as products often follow each other sooner than a thread wakes. Longer would make two busy processes
  // slow each other down several times.
  api.call("addSessionConfigEntry", settings, "session.intra_op.allow_spinning", "1");
  api.call("addSessionConfigEntry", settings, "session.intra_op.spin_duration_us", SPIN_US);
  // Programs have no pairs of QuantizeLinear and DequantizeLinear; the pass would repeat a DequantizeLinear for each node that
  // reads it.
  api.call("addSessionConfigEntry", settings, "session.disable_quant_qdq", "1");
  if (!foldsConstants)
    api.call(
      "addSessionConfigEntry",
      settings,
      "optimization.disable_specified_optimizers",
      "ConstantFolding",
    );
  if (shareScratch) api.call("addSessionConfigEntry", settings, "session.use_env_allocators", "1");
  if (profilePrefix !== undefined) api.call("enableProfiling", settings, `${profilePrefix}-${programName}`);
}

/**
 * Gives a new session its constants, twice. As external initializers, optimisations see their values in a copy that is freed
 * after compiling; as shared ones, the session then reads them in place, or in the layout that it prefers.
 */
export function bind(api: OrtApi, settings: bigint, constants: Constants<OrtValue>): void {
  if (constants.size === 0) return;
  const names = new Texts(api, [...constants.keys()]);
  const values = pointers(constants.size);
  [...constants.values()].forEach((one, i) => (values[i] = valueOf(api, one)));
  api.call("addExternalInitializers", settings, names.addresses, values, constants.size);
  for (const [name, one] of constants) api.call("addInitializer", settings, name, valueOf(api, one));
}
