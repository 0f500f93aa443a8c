/**
 * @file How ONNX Runtime is to run a program, and what it binds. Chosen by measurement
 * (docs/log.md#session-options-and-the-binding): all graph optimisations, one operator at a time on all threads, memory planned as it
 * is needed rather than by pattern.
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

/** Sets the options of a session that is to be made. */
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
  // Many products follow each other sooner than a thread wakes. But threads must not spin on: two busy processes would slow
  // each other down several times.
  api.call("addSessionConfigEntry", settings, "session.intra_op.allow_spinning", "1");
  api.call("addSessionConfigEntry", settings, "session.intra_op.spin_duration_us", SPIN_US);
  // Nothing here is a model of pairs of them; a DequantizeLinear would be repeated for each node that reads it.
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
 * Gives constants to a session that is to be made. As external ones, optimisations see their values, in a copy that goes
 * with the end of compiling; as shared ones, the session then reads them where they are, or in the layout that it prefers.
 */
export function bind(api: OrtApi, settings: bigint, constants: Constants<OrtValue>): void {
  if (constants.size === 0) return;
  const names = new Texts(api, [...constants.keys()]);
  const values = pointers(constants.size);
  [...constants.values()].forEach((one, i) => (values[i] = valueOf(api, one)));
  api.call("addExternalInitializers", settings, names.addresses, values, constants.size);
  for (const [name, one] of constants) api.call("addInitializer", settings, name, valueOf(api, one));
}
