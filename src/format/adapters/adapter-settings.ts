/** @file Reads adapter_config.json: a method, its options, and where it sits. Like adapter.ts, it knows no method. */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { findProblems, listProblems } from "../../messages/problems.ts";
import type { AttachRequest } from "../../peft/layout.ts";
import { type Method, configFileOf } from "../../peft/method.ts";
import { METHODS, findMethodOfConfig } from "../../peft/methods.ts";
import type { AskedTargets } from "../../peft/sites/targets.ts";

/** Keys of adapter_config.json that do not affect what is computed. */
const NEUTRAL_KEYS = [
  "auto_mapping",
  "base_model_name_or_path",
  "inference_mode",
  "peft_type",
  "peft_version",
  "revision",
  "task_type",
  "layers_pattern",
  "megatron_core",
  "qalora_group_size",
];

/** Reads the settings of an adapter_config.json. @throws UsageError "usage/adapter" as `readAdapter`. */
export function readSettings(
  path: string,
  config: Readonly<Record<string, unknown>>,
  methods: readonly Method[] = METHODS,
): AttachRequest & { readonly targets: AskedTargets; readonly storedTransposed: boolean } {
  const raw: Record<string, unknown> = { ...config };
  const method = findMethodOfConfig(path, raw, methods);
  const take = takeFrom(raw);
  const options = configFileOf(method)?.fromConfig(take, raw);
  requireValid(path, method.options, options);
  const targetValues = Object.fromEntries(Object.keys(TARGETS.shape).map((key) => [key, take(key)]));
  requireValid(path, TARGETS, targetValues);
  const {
    layers_to_transform: layers,
    target_modules: modules,
    exclude_modules: exclude,
  } = TARGETS.parse(targetValues);
  // As in PEFT, an empty list restricts nothing.
  const listed = [layers ?? []].flat();
  const storedTransposed = take("fan_in_fan_out") === true;
  refuseUnknown(path, raw);
  const targets = {
    modules: modules ?? null,
    exclude: exclude ?? [],
    layers: listed.length === 0 ? null : listed,
  };
  return { method, options, targets, storedTransposed };
}

const MODULES = z.union([z.string(), z.array(z.string())]).nullish();
/** Keys that tell where an adapter sits. */
const TARGETS = z.object({
  target_modules: MODULES,
  exclude_modules: MODULES,
  layers_to_transform: z.union([z.int(), z.array(z.int())]).nullish(),
});

/** @throws UsageError "usage/adapter" for values that do not fit the schema. */
function requireValid(path: string, schema: z.ZodType, values: unknown): void {
  const problems = listProblems(findProblems(schema, values));
  if (problems.length === 0) return;
  throw new UsageError("usage/adapter", `Cannot use adapter "${path}": ${problems.join("; ")}`, {
    hint: "Correct adapter_config.json; if the adapter was trained with these values, merge it with the program that made it.",
  });
}

/** Refuses unknown keys that are set: they could change what is computed. */
function refuseUnknown(path: string, raw: Readonly<Record<string, unknown>>): void {
  const set = Object.entries(raw).filter(([key, value]) => {
    if (NEUTRAL_KEYS.includes(key)) return false;
    const empty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
    return !(value === null || value === false || value === 0 || value === "" || empty || value === "none");
  });
  if (set.length === 0) return;
  const found = set.map(([key, value]) => `${key} is ${JSON.stringify(value)}`).join("; ");
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}": ${found}, which graft does not implement`,
    {
      hint: "Train the adapter without these settings, or merge it with the program that made it.",
    },
  );
}

/** Returns a function that removes a key from a configuration and returns its value, undefined for null. */
export function takeFrom(raw: Record<string, unknown>): (key: string) => unknown {
  return (key) => {
    const value = raw[key];
    delete raw[key];
    return value ?? undefined;
  };
}
