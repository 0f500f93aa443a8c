/** @file Whether a path is that of a folder or of something in it, by its name or after resolving links. */
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";

/** Whether a path is a folder or lies in it; nothing need exist at the path yet. */
export function liesIn(path: string, folder: string): boolean {
  const isIn = (where: (path: string) => string): boolean =>
    `${where(path)}${sep}`.startsWith(`${where(folder)}${sep}`);
  return isIn(resolve) || isIn(realPath);
}

/** Resolves the links of a path in those of its parts that exist. */
function realPath(path: string): string {
  const whole = resolve(path);
  try {
    return realpathSync(whole);
  } catch {
    const above = dirname(whole);
    return above === whole ? whole : join(realPath(above), basename(whole));
  }
}
