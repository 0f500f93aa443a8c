/**
 * @file Every setting of a fine-tuning run: one schema for the command's flags, the settings file and the library.
 *
 * Methods, optimizers and objectives add options from their own schemas; giving an option to one that does not have it is an error.
 */
import { z } from "zod";
import { maxLengthFor } from "../../data/max-length.ts";
import { UsageError } from "../../errors.ts";
import type { ValueForm } from "../../messages/expected.ts";
import { type Problem, findProblems, parseSettings, settingsError } from "../../messages/problems.ts";
import { OPTIMIZERS } from "../../optim/optimizers.ts";
import type { Model } from "../../models/model.ts";
import type { Method } from "../../peft/method.ts";
import { METHODS } from "../../peft/methods.ts";
import type { Objective } from "../objective.ts";
import { OBJECTIVES } from "../objectives.ts";
import { CHOICES, type Choices } from "./choices.ts";
import { findOwnProblems, optionFlags, ownOptions } from "./own-options.ts";
import { RENAMED_SETTINGS } from "./renamed-settings.ts";
import { SETTINGS, methodChoice, objectiveChoice } from "./setting-groups.ts";
import type { TrainInput } from "./train-input.ts";

const OPTIMIZER_FLAGS = optionFlags(OPTIMIZERS);

/**
 * Schema of a run with one of the given methods and objectives.
 * @throws UsageError "usage/flag" for two methods or objectives of one name, and for an option with the name of another setting, since a
 * value would apply to both
 */
function schemaOf({ methods, objectives }: Choices) {
  for (const kinds of [methods, objectives]) {
    const double = kinds.find(({ name }, i) => kinds.findIndex((kind) => kind.name === name) < i);
    if (double === undefined) continue;
    throw new UsageError("usage/flag", `Cannot choose "${double.name}": two in the list have that name`, {
      hint: "Give your own method or objective another name.",
    });
  }
  const parts = [SETTINGS, optionFlags(methods), OPTIMIZER_FLAGS, optionFlags(objectives)];
  const names = parts.flatMap(Object.keys);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) {
    throw new UsageError("usage/flag", `Cannot take option "${twice}": another setting has that name`, {
      hint: "Give the option of your own method or objective another name.",
    });
  }
  return z.strictObject({
    ...SETTINGS,
    method: methodChoice(methods),
    objective: objectiveChoice(objectives),
    ...optionFlags(methods),
    ...OPTIMIZER_FLAGS,
    ...optionFlags(objectives),
  });
}

/** Schema of a run with methods and objectives of the lists. */
export const TRAIN_OPTIONS = schemaOf(CHOICES);

/** Settings that exclude each other. */
const EXCLUSIVE = [
  ["epochs", "steps"],
  ["resume", "overwrite"],
] as const;

/** Widens choices to any text. */
type Widened<T> = T extends string ? string : T extends readonly string[] ? readonly string[] : T;

/** Settings with options that TypeScript does not know, those of a caller's own method or objective, and any text for choices. */
export type LooseTrainInput = { [K in keyof TrainInput]: Widened<TrainInput[K]> } & Readonly<
  Record<string, unknown>
>;
/** Settings with all defaults. */
export type TrainOptions = z.output<z.ZodObject<typeof SETTINGS>> & Readonly<Record<string, unknown>>;

/** Settings with the values that the model decides if the user does not. */
export type SizedOptions = TrainOptions & { readonly maxLength: number };

/** Completes settings for a model; given values stay. */
export function sizedFor(options: TrainOptions, model: Pick<Model, "maxPositions" | "image">): SizedOptions {
  return { ...options, maxLength: maxLengthFor(model, options.maxLength) };
}

/** Parses settings. @throws UsageError "usage/flag" that lists every problem. */
export function parseTrainOptions(input: unknown, choices = CHOICES): TrainOptions {
  const problems = findTrainProblems(input, "written", choices);
  if (problems.length === 0) return schemaFor(choices).parse(input);
  const renamed = Object.keys(input ?? {}).flatMap((key) => {
    const now = RENAMED_SETTINGS.get(key);
    return now ? [`"${key}" is now "${now.key}".`] : [];
  });
  throw settingsError(
    "these settings",
    problems,
    [...renamed, "See graft train --help for every setting."].join(" "),
  );
}

function schemaFor(choices: Choices): typeof TRAIN_OPTIONS {
  return choices === CHOICES ? TRAIN_OPTIONS : schemaOf(choices);
}

/** Finds all problems of settings; options are checked by the schemas of the chosen method, optimizer and objective. */
export function findTrainProblems(input: unknown, form: ValueForm, choices = CHOICES): readonly Problem[] {
  const { methods, objectives } = choices;
  const given = (typeof input === "object" && input !== null ? input : {}) as Readonly<
    Record<string, unknown>
  >;
  const { method = methodChoice(methods).parse(undefined), optimizer = SETTINGS.optimizer.parse(undefined) } =
    given;
  const problems = [
    ...findOwnProblems({ what: "method", name: method, kinds: methods }, given, form),
    ...findOwnProblems({ what: "optimizer", name: optimizer, kinds: OPTIMIZERS }, given, form),
    // Without an objective, the model decides it.
    ...findOwnProblems({ what: "objective", name: given["objective"], kinds: objectives }, given, form),
  ];
  for (const [key, other] of EXCLUSIVE) {
    if (![given[key], given[other]].every((value) => value !== undefined && value !== false)) continue;
    const name = form === "typed" ? `--${other}` : other;
    problems.push({ path: [key], text: `and ${name} are both given, expected one of them` });
  }
  const told = new Set(problems.map(({ path }) => path[0]));
  const others = findProblems(schemaFor(choices), input, form).filter(({ path }) => !told.has(path[0]));
  return [...others, ...problems];
}

/** The options of the chosen method. @throws UsageError "usage/flag" for an option of another method. */
export function methodOptions(
  options: TrainOptions,
  methods: readonly Method[] = METHODS,
): Record<string, unknown> {
  return ownOptions("method", options.method, methods, options);
}

/** The options of the chosen optimizer. @throws UsageError "usage/flag" for an option of another optimizer. */
export function optimizerOptions(options: TrainOptions): Record<string, unknown> {
  return ownOptions("optimizer", options.optimizer, OPTIMIZERS, options);
}

/** The options of an objective, as its schema reads them. @throws UsageError "usage/flag" for an option of another objective. */
export function objectiveOptions(
  options: TrainOptions,
  { name, options: schema }: Objective,
  objectives: readonly Objective[] = OBJECTIVES,
): unknown {
  const own = ownOptions("objective", name, objectives, options);
  return parseSettings(schema, own, `options of objective "${name}"`);
}
