/**
 * @file Selects parameters that get an adapter, by the rule of PEFT's `target_parameters`: a name is a whole path or a suffix of
 * one after a dot. Parameters are stacks of matrices and weights of modules.
 */
import { UsageError } from "../../errors.ts";
import { lastNames, matchSuffix } from "../../models/module-path.ts";
import type { Candidate } from "./targets.ts";

/** A place that was selected by its parameter. */
type ParameterPlace<P extends Candidate> = P & { readonly parameter: string };

/** Returns the path of a place's parameter; null: it has none of its own. */
function parameterOf({ path, spec }: Candidate): string | null {
  if (spec.kind === "stack") return path;
  return spec.kind === "linear" && !spec.stack ? `${path}.weight` : null;
}

/** Picks the places of these parameters. @throws UsageError "usage/target-modules" for a name that matches none */
export function selectParameters<P extends Candidate>(
  places: readonly P[],
  names: readonly string[],
): readonly ParameterPlace<P>[] {
  const candidates = places.flatMap((place) => {
    const parameter = parameterOf(place);
    return parameter === null ? [] : [{ ...place, parameter }];
  });
  const unmatched = names.filter((name) => !candidates.some(({ parameter }) => matchSuffix(name, parameter)));
  if (unmatched.length > 0) {
    const stacks = candidates.filter(({ spec }) => spec.kind === "stack").map(({ path }) => path);
    throw new UsageError(
      "usage/target-modules",
      `Cannot find target parameters "${unmatched.join(", ")}": no stack of matrices and no module weight has this name`,
      {
        hint:
          stacks.length > 0
            ? `Choose among ${lastNames(stacks).join(", ")}.`
            : "Use target modules instead: the model has no stacks of matrices.",
      },
    );
  }
  return candidates.filter(({ parameter }) => names.some((name) => matchSuffix(name, parameter)));
}

/** Leaves out modules that get their adapter by a parameter: their own weight, or the stack that contains it. */
export function withoutParameters<P extends Candidate>(
  modules: readonly P[],
  parameters: readonly Candidate[],
): readonly P[] {
  const chosen = new Set(parameters.map(({ layer, spec }) => `${layer} ${spec.name}`));
  return modules.filter(
    ({ layer, spec }) =>
      !chosen.has(`${layer} ${spec.name}`) && !(spec.stack && chosen.has(`${layer} ${spec.stack.name}`)),
  );
}
