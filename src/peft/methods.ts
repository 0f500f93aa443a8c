/** @file The list of fine-tuning methods. */
import { UsageError } from "../errors.ts";
import { findNamed } from "../messages/find-named.ts";
import { sharedType } from "./define-method.ts";
import { bitfit } from "./methods/bitfit.ts";
import { dora } from "./methods/dora.ts";
import { full } from "./methods/full.ts";
import { ia3 } from "./methods/ia3.ts";
import { lora } from "./methods/lora.ts";
import { type Method, configFileOf } from "./method.ts";
import { peqa } from "./methods/peqa.ts";
import { road } from "./methods/road.ts";
import { roadLora } from "./methods/road-lora.ts";
import { snell } from "./methods/snell.ts";
import { trainableTokens } from "./methods/trainable-tokens.ts";
import { vera } from "./methods/vera.ts";

/** The methods that a run may name. */
export const METHODS: readonly Method[] = [
  lora,
  dora,
  ia3,
  road,
  roadLora(road, lora),
  vera,
  snell,
  peqa,
  bitfit,
  trainableTokens,
  full,
];

/** The method whose result is an ordinary model. */
export const WHOLE_MODEL: Method = full;

/** Finds a method by name. @throws UsageError "usage/flag" when there is none. */
export function findMethod(name: string, methods: readonly Method[] = METHODS): Method {
  return findNamed("method", methods, name);
}

/**
 * Refuses a user's method whose adapters could be read as those of a listed method.
 * @throws UsageError "usage/flag"
 */
export function requireOwnType(method: Method): void {
  const shared = sharedType([...METHODS.filter(({ name }) => name !== method.name), method]);
  if (shared === undefined) return;
  throw new UsageError(
    "usage/flag",
    `Cannot use method "${method.name}": its files are of peftType "${shared}" as those of another method, expected a type of its own`,
    { hint: "Give its file another peftType." },
  );
}

/**
 * Finds the method of an `adapter_config.json`; `path` of the adapter is for messages. @throws UsageError "usage/adapter" when
 * there is none.
 */
export function findMethodOfConfig(
  path: string,
  config: Readonly<Record<string, unknown>>,
  methods: readonly Method[] = METHODS,
): Method {
  const given = config["peft_type"];
  const peftType = String(given);
  const found = methods.find((method) => {
    const file = configFileOf(method);
    return file?.peftType === peftType && file.claims(config);
  });
  if (found) return found;
  const types = new Set(methods.flatMap((method) => configFileOf(method)?.peftType ?? []));
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}": ${given === undefined ? "it names no type (peft_type)" : `its type is "${peftType}"`}, expected one of ${[...types].join(", ")}`,
    { hint: "Merge it into its model with the program that made it, or train one of these types." },
  );
}
