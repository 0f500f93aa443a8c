/** @file Whether a path is that of a folder or of something in it, by its name or by where links lead. */
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";

/** Whether a path, at which nothing need be yet, is a folder or lies in it. */
export function liesIn(path: string, folder: string): boolean {
  const isIn = (where: (path: string) => string): boolean =>
    `${where(path)}${sep}`.startsWith(`${where(folder)}${sep}`);
  return isIn(resolve) || isIn(realPath);
}

/** The path without links, as far as something is there. */
function realPath(path: string): string {
  const whole = resolve(path);
  try {
    return realpathSync(whole);
  } catch {
    const above = dirname(whole);
    return above === whole ? whole : join(realPath(above), basename(whole));
  }
}
