/**
 * @file What the families share in reading Hugging Face configuration files, of transformers 4 and 5.
 *
 * A key that nobody here knows is passed over when it cannot change the numbers; a known key with a value that is not
 * implemented is an error.
 */
import { z } from "zod";
import { UsageError } from "../errors.ts";
import type { RopeConfig, RopeScaling } from "../nn/rope-tables.ts";

/** Parses a configuration. @throws UsageError "usage/model" that lists every problem. */
export function parseConfig<S extends z.ZodType>(
  schema: S,
  raw: Readonly<Record<string, unknown>>,
): z.output<S> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join(".")} is ${JSON.stringify(at(raw, issue.path))} (${issue.message})`,
  );
  throw unusable(String(raw["model_type"]), problems.join("; "));
}

function at(raw: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null)?.[key], raw);
}

function unusable(modelType: string, found: string): UsageError {
  return new UsageError(
    "usage/model",
    `Cannot use the configuration of this "${modelType}" model: ${found}`,
    {
      hint: "Check config.json; only what the message says is missing from graft",
    },
  );
}

const SCALING = z.object({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().optional(),
  high_freq_factor: z.number().optional(),
  original_max_position_embeddings: z.number().positive().optional(),
});

const ROPE = z.object({
  rope_theta: z.number().positive().nullish(),
  rope_scaling: SCALING.nullish(),
  rope_parameters: SCALING.nullish(),
});

/** Reads rotary settings: `rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling` of 4. */
export function readRope(raw: Readonly<Record<string, unknown>>, headWidth: number): RopeConfig {
  const c = parseConfig(ROPE, raw);
  const scaling = c.rope_parameters ?? c.rope_scaling ?? {};
  const theta = scaling.rope_theta ?? c.rope_theta ?? 10000;
  return { theta, headWidth, scaling: readScaling(scaling, String(raw["model_type"])) };
}

function readScaling(raw: z.output<typeof SCALING>, modelType: string): RopeScaling {
  const kind = raw.rope_type ?? raw.type ?? "default";
  const need = (name: keyof typeof raw): number => {
    const value = raw[name];
    if (typeof value !== "number") throw unusable(modelType, `rope scaling "${kind}" has no ${name}`);
    return value;
  };
  if (kind === "default") return { kind: "none" };
  if (kind === "linear") return { kind: "linear", factor: need("factor") };
  if (kind === "llama3") {
    return {
      kind: "llama3",
      factor: need("factor"),
      lowFrequencyFactor: need("low_freq_factor"),
      highFrequencyFactor: need("high_freq_factor"),
      originalMaxPositions: need("original_max_position_embeddings"),
    };
  }
  throw unusable(modelType, `rope scaling "${kind}", expected default, linear or llama3`);
}
