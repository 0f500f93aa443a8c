/**
 * @file Describes for the model card how a run made its result, without dates and speeds, so that a resumed run has the same card.
 */
import { basename, resolve } from "node:path";
import { ADAPTER_FILES } from "../../format/adapters/adapter-folder.ts";
import type { Fact, Provenance } from "../../format/cards/model-card.ts";
import { formatCount } from "../../messages/numbers.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { fingerprintOf } from "../../models/base/fingerprint.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { TrainOptions } from "../settings/options.ts";
import { type LogEntry, entriesOf, lossOf } from "../logs/log-format.ts";
import { describeRows, namesOf } from "./data/data-names.ts";
import type { RunData } from "./data/run-data.ts";
import type { RunState } from "../loop/run-state.ts";
import { hashData, hashFiles } from "./data/file-hashes.ts";
import { CONTENTS } from "../settings/saved-settings.ts";

/** Settings whose values are paths of one machine; the card names the content instead. */
const PATHS = ["model", "data", "evalData", "initAdapter", "chatTemplate"];
/** Name of the fact about the adapter from which a run starts. */
const STARTED = "started from adapter";
/** A data set in the cache of Hugging Face's own program. */
const CACHED_SET = /[/\\]datasets--([\w.-]+?)--([\w.-]+)[/\\]snapshots[/\\]/;

/** The inputs of a run, known before it begins. */
export type Inputs = Pick<Provenance, "datasets" | "facts">;

/** Names and hashes of some data. */
export async function contentsOf(data: TrainOptions["data"]): Promise<readonly unknown[]> {
  const { facts } = await describeInputs({ data }, new Map());
  return factsOf(facts, "data");
}

/** Names and hashes of everything a run reads; `known`: hashes of files by path. */
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
      const drawn = weight === 1 ? "" : `, drawn ${weight} times per epoch`;
      facts.push([what, `${basename(resolve(name))}${drawn}, sha256 ${await hashData(name, known)}`]);
      const [, owner, set] = CACHED_SET.exec(resolve(name)) ?? [];
      if (owner !== undefined && set !== undefined) datasets.add(`${owner}/${set}`);
    }
  }
  if (initAdapter !== undefined) {
    const sha256 = await hashFiles(initAdapter, [ADAPTER_FILES[0], ADAPTER_FILES[1]], known);
    facts.push([STARTED, `${basename(resolve(initAdapter))}, sha256 ${sha256}`]);
  }
  return { datasets: [...datasets], facts };
}

/** Content hashes of input files, as settings: when a run is resumed, a path may hold other files, or files may have moved. */
export function fileContents({ facts }: Inputs): Record<string, unknown> {
  const [heldOut, started] = [factsOf(facts, "held-out data"), factsOf(facts, STARTED)];
  return {
    [CONTENTS.data]: factsOf(facts, "data"),
    ...(heldOut.length > 0 && { [CONTENTS.evalData]: heldOut }),
    ...(started.length > 0 && { [CONTENTS.initAdapter]: started }),
  };
}

function factsOf(facts: Inputs["facts"], what: string): readonly unknown[] {
  return facts.filter(([name]) => name === what).map(([, value]) => value);
}

/** Settings that identify the model on which a run trains, its tokenizer and its chat template. @throws as reading tensors */
export async function learnerContents({
  base,
  data: { tokenizerHash, chatTemplateHash },
}: {
  readonly base: BaseModel;
  readonly data: Pick<RunData, "tokenizerHash" | "chatTemplateHash">;
}) {
  return { modelContents: await fingerprintOf(base), tokenizerHash, chatTemplateHash };
}

/** Names what a run reads by content: settings that are the same on any machine. */
export function namesByContent(
  { modelContents }: { readonly modelContents: string },
  { facts }: Inputs,
  { evalData, initAdapter }: Pick<TrainOptions, "evalData" | "initAdapter">,
): Record<string, unknown> {
  const named = (what: string): readonly unknown[] => factsOf(facts, what);
  return {
    model: modelContents,
    data: named("data"),
    ...(evalData === undefined ? {} : { evalData: named("held-out data") }),
    ...(initAdapter === undefined ? {} : { initAdapter: [basename(resolve(initAdapter))] }),
  };
}

/** Adds the results in a run's state to its inputs. */
export function describeRun(
  { method }: Pick<Adapter, "method">,
  inputs: Inputs,
  state: RunState,
): Omit<Provenance, "license"> {
  const { title, arxiv } = method.paper;
  const settings = Object.entries(state.settings).filter(([key]) => !PATHS.includes(key));
  // Sorted, since settings that were read back have another order.
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
