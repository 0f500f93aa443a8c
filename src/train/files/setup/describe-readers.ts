/** @file Notes at the start of a run about other programs that cannot read its result. */
import { programThatReadsAdapter } from "../../../format/adapters/adapter.ts";
import { autoClassesOf } from "../../../models/auto-classes.ts";
import { type PeftTakes, TAKES_ANY } from "../../../models/config/checkpoint-rules.ts";
import { MODEL_TASKS, noClassFor } from "../../../models/model-tasks.ts";
import { lastNames } from "../../../models/module-path.ts";
import type { Adapter } from "../../../peft/attach.ts";
import { whyNotMerged } from "../../../peft/why-not-merged.ts";

/** Notes that only graft can read the result, and what other programs can read instead; empty if they can read it. */
export function describeReaders(adapter: Adapter): string[] {
  const { model, method } = adapter;
  const program = programThatReadsAdapter(adapter);
  const { found, written } = autoClassesOf(model);
  const loader = program === null ? written : found;
  if (loader === null) {
    const merging = written === null ? "" : ` ${describeMerging(adapter)}`;
    const results = program === null ? "models" : `adapters of ${method.name}`;
    return [`only graft can read such ${results}: ${noClassFor(MODEL_TASKS[model.task])}.${merging}`];
  }
  if (program !== "graft") return [];
  const note = `only graft can read adapters of ${method.name}: ${describeMerging(adapter)}`;
  return [[note, ...describeRouters(adapter)].join(" ")];
}

/** Says what other programs can read instead of an adapter: a merged model, or nothing if it cannot be merged. */
function describeMerging(adapter: Adapter): string {
  const reason = whyNotMerged(adapter);
  return reason === null
    ? "graft merge turns them into models for other programs."
    : `graft merge cannot merge ${reason}.`;
}

/** Notes on modules whose LoRA PEFT reads only as an adapter of their weight, if PEFT can read the adapter otherwise. */
function describeRouters(adapter: Adapter): string[] {
  const { peftTakes } = adapter.model.checkpoint;
  const paths = [...adapter.sites.keys()].filter((path) => peftTakes(path).byWeight);
  const takesOthers = (path: string): PeftTakes => (peftTakes(path).byWeight ? TAKES_ANY : peftTakes(path));
  if (paths.length === 0 || programThatReadsAdapter(adapter, takesOthers) !== "peft") return [];
  const names = lastNames(paths);
  const parameters = names.map((name) => `${name}.weight`).join(",");
  return [
    `PEFT has no such adapters on ${names.join(", ")}, only LoRA on the weight, without dropout and bias: use --target-parameters ${parameters} instead.`,
  ];
}
