/**
 * @file The classes of a run: those of the model or, if it has none, of a new head. The classes of a new head are given, or come from the
 * adapter to start from, or from the data.
 */
import { ownOutputs, unnamedClasses } from "../../../models/config/classifier-config.ts";
import { inferClassNames, showClasses } from "../../../data/examples/class-names.ts";
import { type DataName, readLabelSet } from "../../../data/by-path.ts";
import { DATA_KINDS } from "../../../data/examples/data-kinds.ts";
import { readColumns } from "../../../data/rows/columns.ts";
import { UsageError } from "../../../errors.ts";
import { withHeadOf } from "../../../format/by-path.ts";
import type { Checkpoint } from "../../../format/checkpoint/checkpoint.ts";
import { withFreshHead } from "../../../format/checkpoint/fresh-head.ts";
import { tellsClasses, withProblem } from "../../../models/config/class-head.ts";
import { openModel } from "../../../models/families.ts";
import { moduleOf } from "../../../models/module-path.ts";
import type { Layout } from "../../../peft/layout.ts";
import { type Method, modulesToSave } from "../../../peft/method.ts";
import { listParameters } from "../../../peft/parameters.ts";
import { Random, STREAM } from "../../../random.ts";
import { defaultObjective, findObjective } from "../../objectives.ts";
import type { GivenClasses, Objective } from "../../objective.ts";
import { type TrainOptions, objectiveOptions } from "../../settings/options.ts";
import { keysOf } from "../../settings/own-options.ts";
import { classesOf } from "../../../data/examples/class-example.ts";
import { namesOf } from "../data/data-names.ts";

/** A model with the classes of a run, and sentences that the caller should see. */
interface WithClasses {
  readonly checkpoint: Checkpoint;
  readonly notes: readonly string[];
}

/**
 * Gives a model without classes a head, if the objective learns classes. `hasData` false: there is no data from which to read classes.
 * @throws UsageError "usage/flag" for classes that contradict the model's own, or if they cannot be determined; as `inferClassNames`
 */
export async function withRunClasses(
  options: TrainOptions,
  opened: Checkpoint,
  { hasData, objectives }: { readonly hasData: boolean; readonly objectives: readonly Objective[] },
): Promise<WithClasses> {
  const checkpoint = await withHeadOf(opened, options.initAdapter);
  const { config } = checkpoint;
  const objective =
    options.objective === undefined
      ? tellsClasses(config) && defaultObjective(openModel(config))
      : findObjective(options.objective, objectives);
  const problem = objective ? DATA_KINDS[objective.rows].problem : null;
  if (!objective || problem === null) return { checkpoint, notes: [] };
  const given = objective.classes?.(objectiveOptions(options, objective, objectives));
  if (tellsClasses(config)) {
    const told = { ...checkpoint, config: withProblem(config, problem) };
    if (given) requireOwnClasses(told, given);
    return { checkpoint: told, notes: [] };
  }
  const withNames = (names: readonly string[], notes: readonly string[]): WithClasses => ({
    checkpoint: withFreshHead(checkpoint, names, new Random(options.seed, STREAM.newHead), problem),
    notes,
  });
  const own = ownOutputs(problem);
  if (own) return withNames(own, []);
  if (!given) return { checkpoint, notes: [] };
  if (given.names !== null) return withNames(given.names, []);
  if (!hasData) return withNames(unnamedClasses(requireCount(given)), []);
  const found = await classNamesOf(
    namesOf(options.data).map(({ name }) => name),
    options.columns,
    given.count,
  );
  return withNames(found, [`Classes of the data: ${showClasses(found)}`]);
}

/**
 * Finds the classes of data from its labels; `count`: how many there are, null: not known.
 * @throws UsageError "usage/data" for labels from which classes cannot be inferred, or for another number of classes
 */
export async function classNamesOf(
  data: readonly DataName[],
  columns: TrainOptions["columns"],
  count: number | null = null,
): Promise<readonly string[]> {
  const labels = await readLabelSet(data, readColumns(columns));
  // With numeric labels, numbers below `count` that occur in no row are classes too.
  if (count !== null && [...labels].every((label) => typeof label === "number")) return unnamedClasses(count);
  const names = inferClassNames(labels);
  if (count === null || names.length === count) return names;
  throw new UsageError(
    "usage/data",
    `Cannot create a head with ${count} classes: the labels of the data are ${showClasses(names)}`,
    { hint: `Name all classes with --classes, or give --num-classes ${names.length}.` },
  );
}

function requireCount({ count }: GivenClasses): number {
  if (count !== null) return count;
  throw new UsageError("usage/flag", "Cannot create a head: neither classes nor data are given", {
    hint: "Give --num-classes, --classes or --data.",
  });
}

/** @throws UsageError "usage/flag" when the given classes differ from the model's */
function requireOwnClasses({ config }: Checkpoint, { names, count }: GivenClasses): void {
  const own = classesOf(openModel(config)).classes?.names ?? [];
  const isOther = names !== null && JSON.stringify(names) !== JSON.stringify(own);
  if (!isOther && (count === null || count === own.length)) return;
  const found = names === null ? `${count} classes` : `classes ${showClasses(names)}`;
  throw new UsageError(
    "usage/flag",
    `Cannot learn ${found}: the model has ${own.length}, expected ${showClasses(own)}`,
    { hint: "Leave the classes out, or use a base without a classification head." },
  );
}

/** Adds the modules of a new head to those that are trained whole and saved: only the result will contain them. */
export function trainFreshHead(
  { freshTensors = [], config }: Checkpoint,
  method: Method,
  ofMethod: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  if (freshTensors.length === 0) return ofMethod;
  const head = openModel(config).headModule;
  const modules = [...new Set(freshTensors.map(moduleOf))].filter(
    (path) => !`${path}.`.startsWith(`${head}.`),
  );
  const named = modulesToSave(method, method.options.parse(ofMethod)) ?? [];
  if (!keysOf(method).includes("modulesToSave")) return ofMethod;
  return { ...ofMethod, modulesToSave: [...new Set([...named, head, ...modules])] };
}

/** @throws UsageError "usage/flag" when a method does not train all of a new head */
export function requireTrainedHead(
  { freshTensors = [] }: Checkpoint,
  { name: method }: Method,
  layout: Layout,
): void {
  const trained = new Set(listParameters(layout).map(({ name }) => name));
  const lost = freshTensors.filter((name) => !trained.has(name));
  if (lost.length === 0) return;
  throw new UsageError(
    "usage/flag",
    `Cannot train a new classification head with method "${method}": it does not train ${lost.join(", ")}`,
    {
      hint: "Choose a method that can train whole modules in addition to its adapters, or one that trains the whole model.",
    },
  );
}
