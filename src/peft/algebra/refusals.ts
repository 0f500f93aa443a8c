/** @file Refuses to combine adapters that do not fit each other or the way of combining. */
import { sameShape, showShape } from "../../graph/shape.ts";
import { UsageError } from "../../errors.ts";
import { moduleOf } from "../../models/module-path.ts";
import type { Combination } from "./combinations.ts";
import type { Algebra, FactorPair, SiteState } from "./contract.ts";
import { METHODS } from "../methods.ts";
import type { Member } from "./plan.ts";

/** Names of the methods whose changes are rotations. */
const TURNING = METHODS.flatMap((method) => {
  if (method.kind === "base" || method.algebra === "not-composable") return [];
  return method.algebra.kind === "vectors" && method.algebra.product !== "none" ? [method.name] : [];
});

/** Refuses to choose a rank where changes have none. */
export function refuseCut(
  members: readonly Member[],
  algebra: Algebra<unknown, unknown>,
  { cuts }: Combination,
): void {
  if (!cuts || (algebra.kind === "factors" && algebra.notConcatenable === null)) return;
  throw refusal(
    members.slice(0, 1),
    "its changes have no rank of their own",
    "two matrices per module",
    "Choose type cat.",
  );
}

/** Refuses adapters of a method that cannot represent several changes in succession as one. */
export function refuseProduct(members: readonly Member[], algebra: Algebra<unknown, unknown>): void {
  const [first] = members;
  if (!first || (algebra.kind === "vectors" && algebra.product !== "none")) return;
  throw refusal(
    [first],
    `its method is "${first.adapter.method.name}", whose changes are not rotations`,
    "rotations with a scale",
    `Choose type cat, which adds changes, or train with ${TURNING.join(" or ")}.`,
  );
}

/** Makes the error for an adapter or a sum in parentheses whose change at a site has no such power; `found` follows the site's path. */
export function refuseTerm(name: string, path: string, found: string): UsageError {
  return refusal(
    [{ name }],
    `"${path}" ${found}`,
    "rotations with a scale",
    "Choose type cat, which adds changes, or whole numbers as weights.",
  );
}

/** Refuses adapters of different methods, with different frozen tensors, or on different modules where all must have the same. */
export function refuseUnlike(members: readonly Member[], { averages }: Combination): void {
  const [first, ...others] = members;
  if (!first) return;
  for (const other of others) {
    if (other.adapter.method !== first.adapter.method) {
      throw refusal(
        [first, other],
        `they are of methods "${first.adapter.method.name}" and "${other.adapter.method.name}"`,
        "one method",
        "Combine adapters of one method.",
      );
    }
    const unlike = [...first.adapter.frozen].find(([name, { data }]) => {
      const found = other.adapter.frozen.get(name);
      return found?.data.length !== data.length || data.some((value, i) => value !== found.data[i]);
    });
    if (unlike) {
      throw refusal(
        [first, other],
        `their frozen tensors "${unlike[0]}" differ`,
        "the same projection",
        "Train both on the same modules, from one seed of the projection.",
      );
    }
    for (const [name, { shape }] of first.adapter.base) {
      const found = other.adapter.base.get(name)?.shape ?? shape;
      if (sameShape(found, shape)) continue;
      throw refusal(
        [first, other],
        `tensor "${name}" is ${showShape(shape)} in one and ${showShape(found)} in the other`,
        "adapters of one model",
        "Choose adapters that were trained on one base model.",
      );
    }
    if (!averages) continue;
    const path = onlyInOne(first.adapter.sites, other.adapter.sites);
    if (path !== null) {
      throw refusal(
        [first, other],
        `only one of them is on "${path}"`,
        "the same modules for an average of parameters",
        "Choose type cat, which adds changes of any modules.",
      );
    }
  }
}

/** Refuses adapters of which one sits on a module that another trains whole: no file has both of a module. */
export function refuseAdaptedWhole(members: readonly Member[]): void {
  const whole = new Map(
    members.flatMap((member) => [...member.adapter.base.keys()].map((name) => [moduleOf(name), member])),
  );
  for (const member of members) {
    for (const path of member.adapter.sites.keys()) {
      const other = whole.get(path);
      if (other === undefined) continue;
      throw refusal(
        [member, other],
        `"${path}" has an adapter in "${member.name}" and is trained whole in "${other.name}"`,
        "one of the two",
        "Merge one of them into the model, and train the other on the result.",
      );
    }
  }
}

function onlyInOne(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): string | null {
  for (const [one, two] of [
    [a, b],
    [b, a],
  ] as const) {
    for (const path of one.keys()) if (!two.has(path)) return path;
  }
  return null;
}

/** Refuses adapters whose states of a site do not fit each other. */
export function refuseUnlikeSites(
  path: string,
  members: readonly Member[],
  algebra: Algebra<unknown, unknown>,
  combination: Combination,
): void {
  const [first, ...others] = members;
  if (!first) return;
  const stateOf = ({ adapter }: Member): SiteState<unknown> => adapter.sites.get(path)!;
  const own = stateOf(first);
  for (const other of others) {
    const state = stateOf(other);
    // Checked first, since sizes may depend on options.
    if (algebra.kind !== "factors") refuseUnlikeOptions(path, [first, other], own.options, state.options);
    const [size, otherSize] = [
      algebra.sizeOf(own.tensors, first.adapter.options),
      algebra.sizeOf(state.tensors, other.adapter.options),
    ];
    if (size.inFeatures !== otherSize.inFeatures || size.outFeatures !== otherSize.outFeatures) {
      const show = (s: typeof size): string => `[${s.outFeatures}, ${s.inFeatures}]`;
      throw refusal(
        [first, other],
        `"${path}" is ${show(size)} in one and ${show(otherSize)} in the other`,
        "adapters of one model",
        "Choose adapters that were trained on one base model.",
      );
    }
    if (algebra.kind !== "factors") {
      refuseUnlikeShapes(path, [first, other], own, state);
      continue;
    }
    if (!combination.mixesFactors && algebra.notConcatenable !== null) {
      throw refusal(
        [first, other],
        algebra.notConcatenable,
        "one adapter",
        "Choose type paper, which averages parameters.",
      );
    }
    if (combination.mixesFactors)
      refuseUnlikeFactors(path, [first, other], [algebra.split(own), algebra.split(state)], combination);
  }
}

/** Refuses tensors whose options, and so their meaning, differ. */
function refuseUnlikeOptions(
  path: string,
  members: readonly [Member, Member],
  own: unknown,
  other: unknown,
): void {
  const [options, otherOptions] = [JSON.stringify(own), JSON.stringify(other)];
  if (options === otherOptions) return;
  throw refusal(
    members,
    `their options at "${path}" are ${options} and ${otherOptions}`,
    "equal options",
    "Train both with the same options.",
  );
}

function refuseUnlikeShapes(
  path: string,
  members: readonly [Member, Member],
  own: SiteState<unknown>,
  state: SiteState<unknown>,
): void {
  for (const [suffix, { shape }] of Object.entries(own.tensors)) {
    const found = state.tensors[suffix]?.shape ?? [];
    if (sameShape(shape, found)) continue;
    throw refusal(
      members,
      `"${path}.${suffix}" is ${showShape(shape)} in one and ${showShape(found)} in the other`,
      "equal shapes",
      "Choose adapters that were trained on one base model with the same options.",
    );
  }
}

function refuseUnlikeFactors(
  path: string,
  members: readonly [Member, Member],
  [a, b]: readonly [FactorPair, FactorPair],
  { averages }: Combination,
): void {
  const hint = "Choose type cat or svd, which add changes of any rank and scale.";
  if (!sameShape(a.down.shape, b.down.shape)) {
    const ranks = `${a.down.shape[0]} and ${b.down.shape[0]}`;
    throw refusal(members, `their ranks at "${path}" are ${ranks}`, "equal ranks", hint);
  }
  if (averages && a.scale !== b.scale) {
    throw refusal(
      members,
      `their scales at "${path}" are ${a.scale} and ${b.scale}`,
      "equal scales for an average of parameters",
      hint,
    );
  }
}

function refusal(
  members: readonly Pick<Member, "name">[],
  found: string,
  expected: string,
  hint: string,
): UsageError {
  const names = members.map(({ name }) => `"${name}"`).join(" and ");
  const noun = members.length === 1 ? "adapter" : "adapters";
  return new UsageError("usage/combine", `Cannot combine ${noun} ${names}: ${found}, expected ${expected}`, {
    hint,
  });
}
