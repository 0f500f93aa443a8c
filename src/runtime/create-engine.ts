/** @file Chooses the engine: ONNX Runtime by its C API, or by its own binding where that cannot be called. */
import type { Engine, EngineOptions } from "./engine.ts";
import { createNativeEngine } from "./ort-native.ts";
import { createNodeEngine } from "./ort-node.ts";

/** Makes the engine of this machine. */
export function createEngine(options: EngineOptions = {}): Engine {
  try {
    return createNativeEngine(options);
  } catch {
    return createNodeEngine(options);
  }
}
