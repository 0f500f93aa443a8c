/**
 * @file Writes the settings of `train` as a TypeScript type, so that editors show their names, types and descriptions: editors do
 * not see the descriptions in a schema, and its type lacks the options of methods, optimizers and objectives.
 */
import type { z } from "zod";
import { TRAIN_OPTIONS } from "../../src/train/settings/options.ts";

const HEAD = `/** @file Written by \`npm run docs\` from the schema of \`settings/options\`: the settings of \`train\`, as editors show and check them. */

/** Settings of a training. Those that are told with names are options of a method, an optimizer or an objective of these names. */
export type TrainInput = {`;

/** Choices of type `string`: settings in a variable have no narrower type. Wrong values are refused at run time, with a suggestion. */
const CHOICES = new Set(["method", "objective", "optimizer", "schedule"]);

/** The source of \`src/train/settings/train-input.ts\`. */
export function trainInputSource(): string {
  const settings = Object.entries(TRAIN_OPTIONS.shape).map(([key, schema]) => settingSource(key, schema));
  return `${[HEAD, ...settings].join("\n")}\n};\n`;
}

function settingSource(key: string, schema: z.ZodType): string {
  const { def } = schema;
  const value = def.type === "default" ? `; default: ${JSON.stringify(schema.parse(undefined))}` : "";
  const text = (schema.description ?? key).replaceAll(
    /--([a-z-]+)/g,
    (_, flag: string) => `\`${keyOf(flag)}\``,
  );
  const type = typeOf(schema) + (CHOICES.has(key) ? " | (string & {})" : "");
  const mayBeLeftOut = schema.safeParse(undefined).success;
  return `  /** ${text}${value} */\n  readonly ${key}${mayBeLeftOut ? `?: ${type} | undefined` : `: ${type}`};`;
}

/** The name of a setting, from its flag. */
function keyOf(flag: string): string {
  return flag.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function inBrackets(type: string): string {
  return /^\w+$/.test(type) ? type : `(${type})`;
}

/** The type of a schema's input. @throws Error for a kind of schema that no setting has used so far */
function typeOf(schema: z.core.$ZodType): string {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type === "optional" || def.type === "default" || def.type === "readonly")
    return typeOf(def.innerType);
  if (def.type === "nullable") return `${typeOf(def.innerType)} | null`;
  if (def.type === "union") return [...new Set(def.options.map(typeOf))].join(" | ");
  if (def.type === "enum")
    return Object.keys(def.entries)
      .map((name) => JSON.stringify(name))
      .join(" | ");
  if (def.type === "array") return `readonly ${inBrackets(typeOf(def.element))}[]`;
  if (def.type === "record") return `Readonly<Record<string, ${typeOf(def.valueType)}>>`;
  if (def.type === "custom") return "object";
  if (def.type === "string" || def.type === "number" || def.type === "boolean") return def.type;
  throw new Error(`internal: no type is known of ${def.type}`);
}
