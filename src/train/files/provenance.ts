/**
 * @file Describes for the model card how a run made its result. It holds no dates and no speeds, so that a resumed run ends
 * with an equal card.
 */
import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { namesBelow } from "../../data/files/data-folder.ts";
import type { Fact, Provenance } from "../../format/cards/model-card.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { formatCount } from "../../messages/numbers.ts";
import { systemCode, toFailedRead } from "../../messages/system-error.ts";
import { readThrough } from "../../format/files/disk/read-through.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { fingerprintOf } from "../../models/base/fingerprint.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { TrainOptions } from "../settings/options.ts";
import { type LogEntry, entriesOf, lossOf } from "../logs/log-format.ts";
import { describeRows, namesOf } from "./data/data-names.ts";
import type { RunState } from "../loop/run-state.ts";
import { DATA_CONTENTS } from "../settings/saved-settings.ts";

/** Settings whose values are paths of one machine; the facts name what lies there. */
const PATHS = ["model", "data", "evalData", "initAdapter", "chatTemplate"];
/** Where the hub's own program keeps a data set. */
const CACHED_SET = /[/\\]datasets--([\w.-]+?)--([\w.-]+)[/\\]snapshots[/\\]/;

/** What a run was given, before it begins. */
export type Inputs = Pick<Provenance, "datasets" | "facts">;

/** Names and hashes what some data are. */
export async function contentsOf(data: TrainOptions["data"]): Promise<readonly unknown[]> {
  const { facts } = await describeInputs({ data }, new Map());
  return factsOf(facts, "data");
}

/** Names and hashes what a run reads; `known`: hashes of files by their paths. */
export async function describeInputs(
  { data, evalData, initAdapter }: Pick<TrainOptions, "data" | "evalData" | "initAdapter">,
  known: ReadonlyMap<string, string>,
): Promise<Inputs> {
  const facts: Fact[] = [];
  const datasets = new Set<string>();
  for (const [what, given] of [
    ["data", data],
    ["held-out data", evalData ?? []],
  ] as const) {
    for (const { name, weight } of namesOf(given)) {
      if (typeof name !== "string") {
        facts.push([what, describeRows(name)]);
        continue;
      }
      const drawn = weight === 1 ? "" : `, drawn ${weight} times an epoch`;
      facts.push([what, `${basename(resolve(name))}${drawn}, sha256 ${await hashData(name, known)}`]);
      const [, owner, set] = CACHED_SET.exec(resolve(name)) ?? [];
      if (owner !== undefined && set !== undefined) datasets.add(`${owner}/${set}`);
    }
  }
  if (initAdapter !== undefined) facts.push(["started from adapter", basename(resolve(initAdapter))]);
  return { datasets: [...datasets], facts };
}

/** Under one path there may be other data when a run goes on, and the same under another: what it holds, as settings. */
export function dataContents({ facts }: Inputs): Record<string, unknown> {
  const heldOut = factsOf(facts, "held-out data");
  return {
    [DATA_CONTENTS.data]: factsOf(facts, "data"),
    ...(heldOut.length > 0 && { [DATA_CONTENTS.evalData]: heldOut }),
  };
}

function factsOf(facts: Inputs["facts"], what: string): readonly unknown[] {
  return facts.filter(([name]) => name === what).map(([, value]) => value);
}

/** What a run reads, by what it holds: settings that are the same on any machine. */
export async function namesByContent({
  base,
  inputs: { facts },
  options: { evalData, initAdapter },
}: {
  readonly base: BaseModel;
  readonly inputs: Inputs;
  readonly options: Pick<TrainOptions, "evalData" | "initAdapter">;
}): Promise<Record<string, unknown>> {
  const named = (what: string): readonly unknown[] => factsOf(facts, what);
  return {
    model: await fingerprintOf(base),
    data: named("data"),
    ...(evalData === undefined ? {} : { evalData: named("held-out data") }),
    ...(initAdapter === undefined ? {} : { initAdapter: named("started from adapter") }),
  };
}

/** Hashes a file, or the names and hashes of the files in a folder. */
async function hashData(path: string, known: ReadonlyMap<string, string>): Promise<string> {
  const hashOne = async (file: string): Promise<string> => {
    const before = known.get(file);
    if (before !== undefined) return before;
    const hash = createHash("sha256");
    await readThrough(file, (piece) => void hash.update(piece));
    return hash.digest("hex");
  };
  const stats = await disk()
    .stat(path)
    .catch((error: unknown) => {
      throw toFailedRead(error, path);
    });
  if (!stats.isDirectory()) return await hashOne(path);
  const hash = createHash("sha256");
  for (const name of namesBelow(path).toSorted()) {
    if (!(await isFile(join(path, name)))) continue;
    hash.update(`${name}\0${await hashOne(join(path, name))}\n`);
  }
  return hash.digest("hex");
}

/** Links to nothing are no files. */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await disk().stat(path)).isFile();
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw toFailedRead(error, path);
  }
}

/** What a run's state adds to what it was given. */
export function describeRun(
  { method }: Pick<Adapter, "method">,
  inputs: Inputs,
  state: RunState,
): Omit<Provenance, "license"> {
  const { title, arxiv } = method.paper;
  const settings = Object.entries(state.settings).filter(([key]) => !PATHS.includes(key));
  // Read back, their order is another.
  settings.sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    datasets: inputs.datasets,
    facts: [
      ["made by", "graft train"],
      ["method", `${method.name}: ${title}${arxiv === "none" ? "" : `, arXiv:${arxiv}`}`],
      ...inputs.facts,
      ["trained parameters", formatCount(state.trainable_parameters)],
      [
        "steps",
        `${state.global_step} of ${state.max_steps}, ${state.epoch.toFixed(2)} epochs, ${formatCount(state.trained_tokens)} tokens`,
      ],
      ...lossFacts(state),
    ],
    settings: Object.fromEntries(settings),
    parts: [],
  };
}

function lossFacts({
  log_history: history,
  best_metric: best,
  best_global_step: bestStep,
  settings: { evalMetric: metric = "loss" },
}: RunState): Fact[] {
  const at = (entry: LogEntry | undefined, when: "in" | "after"): string =>
    `${(entry ? lossOf(entry) : NaN).toFixed(4)} ${when} step ${String(entry?.["step"])}`;
  const [steps, evaluations] = [entriesOf(history, "step"), entriesOf(history, "eval")];
  const facts: Fact[] = [];
  if (steps.length > 0) {
    facts.push(["training loss", `${at(steps[0], "in")}, ${at(steps.at(-1), "in")}`]);
  }
  if (evaluations.length > 0) {
    const lowest =
      best === null
        ? ""
        : `; ${metric === "loss" ? "lowest" : `best ${String(metric)}`} ${best.toFixed(4)} after step ${bestStep}`;
    facts.push([
      "held-out loss",
      `${at(evaluations[0], "after")}, ${at(evaluations.at(-1), "after")}${lowest}`,
    ]);
  }
  return facts;
}
