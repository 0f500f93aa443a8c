/**
 * @file Selects the modules that get an adapter, by the rules of PEFT: a string is a regular expression for the whole path, a
 * list matches whole paths or dotted suffixes, "all-linear" is every projection of the blocks.
 */
import { UsageError } from "../../errors.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { SiteRole } from "../../nn/builder.ts";
import { isWithin, lastNames, matchSuffix } from "../../models/module-path.ts";
import { editDistance } from "../../messages/nearest.ts";
import { kebabCase } from "../../messages/setting-names.ts";
import { compileSafe } from "../../untrusted/safe-pattern.ts";
import { TimeBudget } from "../../untrusted/time-budget.ts";
import { fromPython } from "../../untrusted/python-pattern.ts";

/** The choice of modules. */
export interface Targets {
  /** "all-linear", a regular expression, or a list of names. */
  readonly modules: string | readonly string[];
  /** Modules to leave out, by the same rules. */
  readonly exclude: string | readonly string[];
  /** Blocks that are adapted; null: all. */
  readonly layers: readonly number[] | null;
}

/** Requested targets; `modules` null: the method's own choice for the model. */
export type AskedTargets = Omit<Targets, "modules"> & { readonly modules: Targets["modules"] | null };

/**
 * Compiles patterns. The returned function gives the value of the first pattern, in file order, that matches the end of a path by
 * PEFT's rule: as a regular expression for the whole path or for a part of it after a dot.
 */
export function patternValues(patterns: Readonly<Record<string, number>>): (path: string) => number | null {
  const matchers = Object.entries(patterns).map(([pattern, value]) => ({
    isMatch: endMatcher(pattern),
    value,
  }));
  return (path) => matchers.find(({ isMatch }) => isMatch(path))?.value ?? null;
}

function endMatcher(pattern: string): (path: string) => boolean {
  if (PLAIN.test(pattern)) return (path) => endsIn(path, pattern);
  return compile(`^(.*\\.)?(${pattern})$`, pattern);
}

/**
 * A pattern whose only special character is the dot, as most are; files may have one for each module, so these are matched
 * without a regular expression.
 */
const PLAIN = /^[\w.-]*$/;

/** Whether a path matches a plain pattern, or ends in a match after a dot. */
function endsIn(path: string, pattern: string): boolean {
  const start = path.length - pattern.length;
  if (start < 0 || (start > 0 && path[start - 1] !== ".")) return false;
  for (let i = 0; i < pattern.length; i++)
    if (pattern[i] !== "." && pattern[i] !== path[start + i]) return false;
  return true;
}

/**
 * Checks that each key in options whose names end in "Pattern" matches an adapted module.
 * @throws UsageError "usage/target-modules" when one does not.
 */
export function requireMatchedPatterns(options: unknown, paths: readonly string[]): void {
  for (const [option, patterns] of Object.entries(options as object)) {
    if (!option.endsWith("Pattern")) continue;
    for (const pattern of Object.keys(patterns as object)) {
      if (paths.some(endMatcher(pattern))) continue;
      const names = nearestNames(pattern, paths);
      throw new UsageError(
        "usage/target-modules",
        `Cannot use --${kebabCase(option)} for "${pattern}": no module matches that has an adapter, nearest is "${names[0]}"`,
        { hint: `Choose among ${names.join(", ")}, or put adapters on more modules by --target-modules.` },
      );
    }
  }
}

/** A place that could get an adapter. */
export interface Candidate {
  readonly path: string;
  /** Null outside the blocks. */
  readonly layer: number | null;
  readonly spec: SiteSpec;
}

/**
 * Picks the targets among the candidates.
 * @throws UsageError "usage/target-modules" when nothing matches or a listed name matches nothing.
 */
export function selectTargets<C extends Candidate>(candidates: readonly C[], targets: Targets): C[] {
  const { modules, exclude, layers } = targets;
  const [matches, isExcluded] = [matcher(modules), matcher(exclude)];
  const paths = candidates.map(({ path }) => path);
  const unmatched =
    typeof modules === "string"
      ? []
      : modules.filter((name) => !paths.some((path) => matchSuffix(name, path)));
  if (unmatched.length > 0) throw noMatch(unmatched.join(", "), paths);
  const numLayers = candidates.reduce((most, { layer }) => Math.max(most, (layer ?? -1) + 1), 0);
  const outside = layers?.filter((layer) => layer >= numLayers || layer < 0) ?? [];
  if (outside.length > 0) {
    throw new UsageError(
      "usage/target-modules",
      `Cannot adapt layers ${outside.join(", ")}: the model has layers 0 to ${numLayers - 1}`,
      { hint: `Give numbers from 0 to ${numLayers - 1}, or leave the layers out to adapt all.` },
    );
  }
  const selected = candidates.filter((c) => matches(c.path) && !isExcluded(c.path) && isMeant(c, targets));
  if (selected.length === 0 && paths.some(matches)) {
    throw new UsageError(
      "usage/target-modules",
      `Cannot adapt modules "${String(modules)}": none of them is left after layers and exclusions`,
      { hint: "Give other layers, or leave them out to adapt all." },
    );
  }
  if (selected.length === 0 && modules.length > 0) throw noMatch(String(modules), paths);
  return selected;
}

/**
 * Leaves out targets that are trained whole, as PEFT does, since a name may match other modules too.
 * @throws UsageError "usage/target-modules" for a name that matches no others
 */
export function withoutTrainedWhole<C extends Candidate>(
  selected: readonly C[],
  whole: readonly string[],
  { modules }: Targets,
): readonly C[] {
  const others = selected.filter(({ path }) => !whole.some((name) => isWithin(name, path)));
  if (others.length === selected.length) return others;
  const kept = new Set(others);
  const left = selected.filter((candidate) => !kept.has(candidate));
  const names = typeof modules === "string" ? [modules] : modules;
  for (const name of names) {
    const matches = matcher(typeof modules === "string" ? name : [name]);
    const both = left.find(({ path }) => matches(path));
    if (both !== undefined && !others.some(({ path }) => matches(path)))
      throw bothTrainedAndAdapted(both.path);
  }
  return others;
}

function bothTrainedAndAdapted(path: string): UsageError {
  return new UsageError(
    "usage/target-modules",
    `Cannot put an adapter on "${path}": the module is trained whole, expected only one of the two`,
    { hint: `Leave "${path}" out of the target modules, or out of the modules to save.` },
  );
}

/**
 * Returns the names of the modules of a block that have one of the roles.
 * @throws UsageError "usage/target-modules" when there are none
 */
export function modulesOfRoles(
  roles: "all-linear" | readonly SiteRole[],
  sites: readonly SiteSpec[],
): string | readonly string[] {
  if (roles === "all-linear") return roles;
  const names = sites.filter(({ role }) => roles.includes(role)).map(({ name }) => name);
  if (names.length > 0) return names;
  throw new UsageError(
    "usage/target-modules",
    `Cannot choose target modules: the model has none for ${roles.join(", ")}, expected one`,
    { hint: "Give the modules by name, or use all-linear." },
  );
}

/**
 * Whether a candidate is in the chosen layers, or named by its whole path, such as `lm_head`. For "all-linear" it must also be a
 * projection of a block other than a router.
 */
function isMeant({ path, layer, spec }: Candidate, { modules, layers }: Targets): boolean {
  const isInAllLinear = layer !== null && spec.kind === "linear" && spec.role !== "router";
  if (!isInAllLinear && modules === "all-linear") return false;
  const isNamed = typeof modules !== "string" && modules.includes(path);
  return layers === null || isNamed || (layer !== null && layers.includes(layer));
}

/** Reads modules as typed by users: "all-linear", a regular expression, or names separated by commas. */
export function readModules(text: string): Targets["modules"] {
  if (text === "all-linear" || /[\\^$*+?()[\]|{}]/.test(text)) return text;
  return text.split(",").map((name) => name.trim());
}

/**
 * Returns a function that tells whether a path is among the modules. @throws UsageError "usage/target-modules" for an invalid expression
 */
export function matcher(modules: Targets["modules"]): (path: string) => boolean {
  if (modules === "all-linear") return () => true;
  if (typeof modules !== "string") return (path) => modules.some((name) => matchSuffix(name, path));
  return compile(`^(?:${modules})$`, modules);
}

/** Whether an expression for modules can be read. */
export function isReadable(expression: string): boolean {
  try {
    matcher(expression);
    return true;
  } catch {
    return false;
  }
}

function compile(source: string, given: string): (path: string) => boolean {
  const orRefuse = <T>(work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      throw new UsageError(
        "usage/target-modules",
        `Cannot read module pattern "${given}": not a regular expression that is guaranteed to end`,
        {
          hint: "Close or escape its brackets, or list the modules by name.",
          cause,
        },
      );
    }
  };
  const budget = new TimeBudget();
  const pattern = orRefuse(() => compileSafe(fromPython(source), "", budget));
  return (path) => orRefuse(() => budget.use(path.length, () => pattern.test(path)));
}

/** Lists short names of modules, the one most similar to `wanted` first. */
function nearestNames(wanted: string, paths: readonly string[]): readonly string[] {
  return lastNames(paths)
    .map((name) => ({ name, distance: editDistance(name, wanted) }))
    .sort((a, b) => a.distance - b.distance)
    .map(({ name }) => name);
}

function noMatch(wanted: string, paths: readonly string[]): UsageError {
  const nearest = nearestNames(wanted, paths);
  return new UsageError(
    "usage/target-modules",
    `Cannot find target modules "${wanted}": no module matches, the nearest is "${nearest[0]}"`,
    { hint: `Choose among ${nearest.join(", ")}, or all-linear.` },
  );
}
