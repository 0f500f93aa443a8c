/** @file "~" at the beginning of paths that no shell has replaced: in `--flag=~/x`, `NAME=~/x` and settings files. */
import type { Environment } from "../../environment.ts";
import { expandHome } from "../../hub/model-name.ts";

/** Replaces "~" in what was given for a flag that takes paths: one, `NAME=PATH`, or a list of them. */
export function expandPaths(value: unknown, env: Environment): unknown {
  if (Array.isArray(value)) return value.map((each) => expandPaths(each, env));
  if (typeof value !== "string") return value;
  const [, name = "", path = ""] = /^([^=~/]*=)?(.*)$/s.exec(value) ?? [];
  return name + expandHome(path, env);
}
