/** @file What a run says at its start of the programs that will not read what comes of it. */
import { programThatReadsAdapter } from "../../../format/adapters/adapter.ts";
import { autoClassesOf } from "../../../models/auto-classes.ts";
import { type PeftTakes, TAKES_ANY } from "../../../models/config/checkpoint-rules.ts";
import { MODEL_TASKS, noClassFor } from "../../../models/model-tasks.ts";
import { lastNames } from "../../../models/module-path.ts";
import type { Adapter } from "../../../peft/attach.ts";
import { whyNotMerged } from "../../../peft/why-not-merged.ts";

/** Says where graft alone reads what is trained, and what other programs read instead; nothing where they read it. */
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

/** Says what other programs read in the place of an adapter; what cannot be merged they read not at all. */
function describeMerging(adapter: Adapter): string {
  const reason = whyNotMerged(adapter);
  return reason === null
    ? "graft merge turns them into models for other programs."
    : `graft merge cannot merge ${reason}.`;
}

/** Says what PEFT reads on modules on which it has LoRA by their weight alone, where nothing else keeps it from the adapter. */
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
