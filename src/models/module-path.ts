/** @file Dotted paths of modules and tensors, as in files and in what users write. */

/** First character of a path in a block that is a whole path, of a tensor outside the blocks. */
const ROOT = "/";

/** Tells whether a path in a block names a tensor outside the blocks. */
export function isOutside(path: string): boolean {
  return path.startsWith(ROOT);
}

/** Returns the whole path for a path in a block; `prefix` is the prefix of the block. */
export function wholePath(prefix: string, path: string): string {
  return isOutside(path) ? path.slice(ROOT.length) : prefix + path;
}

/** Returns the module of a tensor, or the parent of a module. */
export function moduleOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf(".")));
}

/** Returns the last part of a path. */
export function lastName(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** Tells whether a name is the whole path or a dotted suffix of it. */
export function matchSuffix(name: string, path: string): boolean {
  return path === name || path.endsWith(`.${name}`);
}

/** Lists the distinct last parts of paths, in order of first occurrence. */
export function lastNames(paths: Iterable<string>): string[] {
  return [...new Set([...paths].map(lastName))];
}

/** Tells whether consecutive parts of a path form the given dotted name. */
export function isWithin(name: string, path: string): boolean {
  return `.${path}.`.includes(`.${name}.`);
}
