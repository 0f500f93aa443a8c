/** @file What the settings of a run may name: the lists, or those that a program hands in with some of its own. */
import type { Method } from "../../peft/method.ts";
import { METHODS } from "../../peft/methods.ts";
import type { Objective } from "../objective.ts";
import { OBJECTIVES } from "../objectives.ts";

/** What `method` and `objective` may name. */
export interface Choices {
  readonly methods: readonly Method[];
  readonly objectives: readonly Objective[];
}

/** Those of the lists. */
export const CHOICES: Choices = { methods: METHODS, objectives: OBJECTIVES };

/** Those that are given, and of the lists what is not. */
export function choicesOf({ methods = METHODS, objectives = OBJECTIVES }: Partial<Choices>): Choices {
  const isOfLists = methods === METHODS && objectives === OBJECTIVES;
  return isOfLists ? CHOICES : { methods, objectives };
}
