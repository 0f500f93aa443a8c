/** @file The texts on which a run trains and is evaluated, as tokens. */
import type { ReadOptions } from "../../../data/files/read-files.ts";
import { type Dataset, readDatasets, readHeldOut } from "../../../data/by-path.ts";
import { openTextTools } from "../../../data/chat/text-tools.ts";
import { classesOf } from "../../../data/examples/class-example.ts";
import { DATA_KINDS, type DataKindName } from "../../../data/examples/data-kinds.ts";
import type { TrainOn } from "../../../data/examples/example.ts";
import type { TrainingUnit } from "../../../data/examples/training-unit.ts";
import { sumCounts } from "../../../data/reports/data-report.ts";
import {
  noteLabelled,
  notePlainPrompts,
  noteTroubles,
  noteUnshown,
} from "../../../data/reports/report-notes.ts";
import { readColumns } from "../../../data/rows/columns.ts";
import { UsageError } from "../../../errors.ts";
import type { Model } from "../../../models/model.ts";
import { requireReadable } from "../../loop/readable.ts";
import type { Objective } from "../../objective.ts";
import type { SizedOptions } from "../../settings/options.ts";
import { SETTINGS } from "../../settings/setting-groups.ts";
import { namesOf } from "./data-names.ts";
import { hashTokenizer } from "./tokenizer-hash.ts";
import { type Learner, type ReadingHooks, type RunData, joinHeldOut, sourcesOf } from "./run-data.ts";

/** Reads the texts of a run. @throws as `readRunData` */
export async function readTextData(
  options: SizedOptions,
  { model, objective, tokenizerFiles }: Learner,
  { tokenizer, ...hooks }: ReadingHooks,
): Promise<RunData> {
  const { maxLength, evalData } = options;
  const tools = openTextTools(options.model, tokenizerFiles, { tokenizer });
  // Hashed here because opening the tokenizer has just parsed the files.
  const tokenizerHash = hashTokenizer(tools.origin.files);
  requireFit(options, model, objective);
  const fileHashes = new Map<string, string>();
  const skipped = new Set<string>();
  const how: ReadOptions<DataKindName> = {
    ...tools,
    ...hooks,
    ...rowsOf(options, model, objective),
    onFile: (path, sha256) => void fileHashes.set(path, sha256),
    onSkipped: (note) => void skipped.add(note),
  };
  const names = namesOf(options.data);
  const wanted = evalData === undefined ? (["train", "valid"] as const) : (["train"] as const);
  const sets: Dataset<TrainingUnit>[] = await readDatasets<DataKindName>(
    names.map(({ name }) => name),
    how,
    wanted,
  );
  const given = evalData === undefined ? null : await readHeldOut<DataKindName>(evalData, how);
  const train = sets.flatMap((set) => set.train);
  const heldOut = given ? given.examples : joinHeldOut(sets.map(({ valid }) => valid));
  requireReadable(train, model);
  if (heldOut) requireReadable(heldOut, model);
  const counts = { ...sumCounts(sets.map(({ reports }) => reports.train)), numExamples: train.length };
  const heldOutReports = given ? [given.report] : sets.flatMap(({ reports }) => reports.valid ?? []);
  const heldOutCounts = { ...sumCounts(heldOutReports), numExamples: heldOut?.length ?? 0 };
  return {
    train,
    sources: sourcesOf(sets, names),
    heldOut,
    numDropped: counts.numDropped,
    fileHashes,
    chatTemplateHash: tools.template.hash,
    tokenizerHash,
    notes: [],
    warnings: [
      ...skipped,
      ...noteTroubles(counts, maxLength),
      ...notePlainPrompts(counts, objective.rows),
      ...noteUnshown(counts),
      ...noteLabelled(counts),
      ...noteTroubles(heldOutCounts, maxLength, "held-out ", "evaluated"),
    ],
  };
}

/** Options for reading rows and making examples of them. */
function rowsOf(
  { maxLength, trainOn, columns, skipFaulty }: SizedOptions,
  model: Model,
  { rows: kind }: Objective,
) {
  return {
    kind,
    maxLength,
    trainOn,
    columns: readColumns(columns),
    ...(skipFaulty === undefined ? {} : { skipFaulty }),
    ...classesOf(model),
  };
}

/** @throws UsageError "usage/flag" for a choice of turns if the objective does not train on turns */
export function requireTurns(trainOn: TrainOn, objective: Objective): void {
  const { isCompared, problem } = DATA_KINDS[objective.rows];
  if (trainOn === SETTINGS.trainOn.parse(undefined) || !(isCompared || problem !== null)) return;
  throw new UsageError(
    "usage/flag",
    `Cannot use --train-on ${trainOn} with objective "${objective.name}": it chooses turns of conversations that are learned as they are`,
    { hint: "Leave --train-on out, or choose another objective." },
  );
}

/**
 * @throws UsageError "usage/flag" for rows longer than the model reads, or packed although they must not be; as `requireTurns`
 */
export function requireFit(
  { maxLength, packing, trainOn }: SizedOptions,
  { maxPositions }: Model,
  objective: Objective,
): void {
  if (maxLength > maxPositions) {
    throw new UsageError(
      "usage/flag",
      `Cannot train on ${maxLength} tokens: the model has ${maxPositions} positions`,
      { hint: `Choose a max length of at most ${maxPositions}.` },
    );
  }
  requireTurns(trainOn, objective);
  if (packing && DATA_KINDS[objective.rows].isCompared) {
    throw new UsageError(
      "usage/flag",
      `Cannot pack rows for objective "${objective.name}": answers that are compared must stay together`,
      { hint: "Leave packing out." },
    );
  }
}
