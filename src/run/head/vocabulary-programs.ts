/**
 * @file The programs of a head whose matrix comes in slices of its rows, or as one row for each position. Each includes what a
 * family does to single logits, such as a cap.
 */
import { gradients } from "../../graph/autodiff.ts";
import type { Value } from "../../graph/graph.ts";
import { logSumExp } from "../../graph/ops/reductions/log-sum-exp.ts";
import { type ProgramSpec, neededInputs } from "../../graph/program.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import { type HeadProduct, PLAIN_PART } from "../../models/graphs/part-options.ts";
import type { Model } from "../../models/model.ts";
import type { MadeProgram, Makeable } from "../session-programs.ts";

export type VocabularyProgramKind = "logits" | "log-sum" | "log-sum-gradient" | "label" | "label-gradient";

/** What a program was made from, and the name of the tensor whose rows it multiplies with. */
export interface VocabularyProgram {
  readonly part: PartGraph;
  readonly matrix: string;
}

/** Describes a program of a large vocabulary's head without compiling it. */
export function vocabularyProgram(model: Model, kind: VocabularyProgramKind): Makeable<VocabularyProgram> {
  const make = (): MadeProgram<VocabularyProgram> => {
    const headProduct: HeadProduct = kind.startsWith("label") ? "row-by-row" : "slice";
    const { part, x: hidden, y: logits } = model.buildHead({ ...PLAIN_PART, headProduct });
    const matrix = model.storedName(part.head.rows?.tensor ?? "");
    return { spec: cutProgram(kind, part, hidden, logits), made: { part, matrix } };
  };
  return { key: `vocabulary ${kind}`, make };
}

function cutProgram(kind: VocabularyProgramKind, part: PartGraph, hidden: Value, logits: Value): ProgramSpec {
  const seed = part.graph.input("seed", "float32", ["N", 1]);
  const gradientOf = (value: Value): Record<string, Value> => {
    const [dHidden] = gradients([{ value, gradient: seed }], [hidden]);
    return { dHidden: dHidden! };
  };
  const outputs = {
    logits: () => ({ logits }),
    "log-sum": () => ({ logSum: logSumExp(logits) }),
    "log-sum-gradient": () => {
      const logSum = logSumExp(logits);
      return { logSum, ...gradientOf(logSum) };
    },
    label: () => ({ logit: logits }),
    "label-gradient": () => ({ logit: logits, ...gradientOf(logits) }),
  }[kind]();
  const given = { hidden, ...part.inputs(), seed };
  return { name: `vocabulary-${kind}`, inputs: neededInputs(outputs, given), outputs };
}
