/**
 * @file Changes settings of an adapter whose modules get other paths. Names are renamed; expressions cannot be, so they are
 * replaced by the adapted paths that they match.
 */
import { matcher, patternValues } from "../../peft/sites/targets.ts";

/** The settings in an adapter_config.json. */
export type Config = Readonly<Record<string, unknown>>;

/** Numbers for modules, by expressions for their paths. */
type Pattern = Readonly<Record<string, number>>;
/** Paths of everything that has an adapter: old and new. */
type MovedPaths = readonly (readonly [string, string])[];

/** Whether a setting has values for some modules, like `rank_pattern`. */
function isPattern(setting: string, value: unknown): value is Pattern {
  return setting.endsWith("_pattern") && typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Renames modules in lists and keys by `ofPath`; expressions are replaced where they would no longer match the same modules. */
export function mapPaths(config: Config, ofPath: (path: string) => string, moved: MovedPaths): Config {
  const renamed = Object.entries(config).map(([key, value]) => {
    if (Array.isArray(value))
      return [key, value.map((each: unknown) => (typeof each === "string" ? ofPath(each) : each))];
    if (typeof value === "string" && key.endsWith("_modules")) return [key, movedModules(value, moved)];
    if (typeof value !== "object" || value === null) return [key, value];
    if (isPattern(key, value)) return [key, movedPattern(value, moved)];
    return [key, Object.fromEntries(Object.entries(value).map(([path, each]) => [ofPath(path), each]))];
  });
  return Object.fromEntries(renamed) as Config;
}

/** A pattern, with whole new paths as keys if it would give moved modules other values. */
function movedPattern(pattern: Pattern, moved: MovedPaths): Pattern {
  const valueOf = patternValues(pattern);
  if (moved.every(([from, to]) => valueOf(from) === valueOf(to))) return pattern;
  return Object.fromEntries(
    moved.flatMap(([from, to]) => {
      const value = valueOf(from);
      return value === null ? [] : [[to, value]];
    }),
  );
}

/** An expression for modules, or a list of whole new paths if it would not match the same moved modules. */
function movedModules(expression: string, moved: MovedPaths): string | readonly string[] {
  const isMeant = matcher(expression);
  if (moved.every(([from, to]) => isMeant(from) === isMeant(to))) return expression;
  return moved.flatMap(([from, to]) => (isMeant(from) ? [to] : []));
}

/** Keys of patterns that match none of these paths, each with its setting. */
export function idlePatterns(
  config: Config,
  paths: readonly string[],
): readonly (readonly [setting: string, key: string])[] {
  return Object.entries(config).flatMap(([setting, value]) => {
    if (!isPattern(setting, value)) return [];
    const isIdle = (key: string): boolean => {
      const valueOf = patternValues({ [key]: 1 });
      return paths.every((path) => valueOf(path) === null);
    };
    return Object.keys(value)
      .filter(isIdle)
      .map((key) => [setting, key] as const);
  });
}
