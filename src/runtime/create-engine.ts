/** @file Chooses the engine: ONNX Runtime through its C API, or through its own binding where the C API cannot be called. */
import { A_CHOICE, A_TEXT, ANYTHING, checkArguments, lazily, onlyMembers } from "../messages/arguments.ts";
import { showValue } from "../messages/expected.ts";
import { UsageError } from "../errors.ts";
import { type Engine, type EngineOptions, MAX_THREADS } from "./engine.ts";
import { createNativeEngine } from "./ort/ort-native.ts";
import { createNodeEngine } from "./ort/ort-node.ts";

const ARGUMENTS = lazily(() =>
  onlyMembers({
    options: onlyMembers({
      threads: ANYTHING,
      shareScratch: A_CHOICE.optional(),
      profilePrefix: A_TEXT.optional(),
    }),
  }),
);

/** Makes the engine of this machine. @throws UsageError `usage/flag` for a number of threads out of range */
export function createEngine(options: EngineOptions = {}): Engine {
  checkArguments("createEngine", ARGUMENTS, { options });
  const { threads = 1 } = options;
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= MAX_THREADS)) {
    throw new UsageError(
      "usage/flag",
      `Cannot compute on ${showValue(threads)} threads: expected a whole number from 1 to ${MAX_THREADS}`,
      { hint: "Leave it out for all processors; more threads than processors are not faster." },
    );
  }
  try {
    return createNativeEngine(options);
  } catch (error) {
    warnOnce(error);
    return createNodeEngine(options);
  }
}

let isWarned = false;

/** Warns once that programs take more time and memory than necessary, and why. */
function warnOnce(reason: unknown): void {
  if (isWarned) return;
  isWarned = true;
  const { message } = reason as Error;
  process.emitWarning(`ONNX Runtime's C API cannot be called, so its slower binding is used: ${message}`, {
    code: "graft/engine",
  });
}
