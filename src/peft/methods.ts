/** @file The list of fine-tuning methods. */
import { UsageError } from "../errors.ts";
import { bitfit } from "./bitfit.ts";
import { full } from "./full.ts";
import { ia3 } from "./ia3.ts";
import { lora } from "./lora.ts";
import type { Method } from "./method.ts";
import { road } from "./road.ts";
import { vera } from "./vera.ts";

export const METHODS: readonly Method[] = [lora, ia3, road, vera, bitfit, full];

/** Finds a method by name. @throws UsageError "usage/flag" when there is none. */
export function findMethod(name: string): Method {
  const found = METHODS.find((m) => m.name === name);
  if (found) return found;
  const known = METHODS.map((m) => m.name).join(", ");
  throw new UsageError("usage/flag", `Cannot use method "${name}": expected one of ${known}`);
}

/** Finds the method of an `adapter_config.json`. @throws UsageError "usage/adapter" when there is none. */
export function findMethodOfConfig(config: Readonly<Record<string, unknown>>): Method {
  const peftType = String(config["peft_type"]);
  const found = METHODS.find((m) => m.peftType === peftType && (m.claims?.(config) ?? true));
  if (found) return found;
  const known = METHODS.flatMap((m) => (m.peftType === "none" ? [] : [m.peftType])).join(", ");
  throw new UsageError(
    "usage/adapter",
    `Cannot use an adapter of type "${peftType}": expected one of ${known}`,
  );
}
