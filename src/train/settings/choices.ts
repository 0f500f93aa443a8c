/** @file Which methods and objectives the settings of a run may name: those of the lists, or a caller's own. */
import type { Method } from "../../peft/method.ts";
import { METHODS } from "../../peft/methods.ts";
import type { Objective } from "../objective.ts";
import { OBJECTIVES } from "../objectives.ts";

export interface Choices {
  readonly methods: readonly Method[];
  readonly objectives: readonly Objective[];
}

/** Methods and objectives of the lists. */
export const CHOICES: Choices = { methods: METHODS, objectives: OBJECTIVES };

/** The given choices, completed from the lists. */
export function choicesOf({ methods = METHODS, objectives = OBJECTIVES }: Partial<Choices>): Choices {
  const isOfLists = methods === METHODS && objectives === OBJECTIVES;
  return isOfLists ? CHOICES : { methods, objectives };
}
