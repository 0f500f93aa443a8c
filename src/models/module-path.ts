/** @file Dotted paths of modules and tensors, where text is the interface: names in files and what users write. */

/** What a path in a block begins with that is a whole one, of a tensor outside of the blocks. */
const ROOT = "/";

/** Tells whether a path in a block is that of a tensor outside of the blocks. */
export function isOutside(path: string): boolean {
  return path.startsWith(ROOT);
}

/** The whole path of what a block has under a path; `prefix`: what precedes those inside of it. */
export function wholePath(prefix: string, path: string): string {
  return isOutside(path) ? path.slice(ROOT.length) : prefix + path;
}

/** The module of a tensor, or the module around a module. */
export function moduleOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf(".")));
}

/** The last part of a path. */
export function lastName(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** Tells whether a name is the whole path or a dotted suffix of it. */
export function matchSuffix(name: string, path: string): boolean {
  return path === name || path.endsWith(`.${name}`);
}

/** Lists the last parts of paths, each once, in the order in which they come. */
export function lastNames(paths: Iterable<string>): string[] {
  return [...new Set([...paths].map(lastName))];
}

/** Tells whether a name matches a path or that of a module around it. */
export function isWithin(name: string, path: string): boolean {
  return `.${path}.`.includes(`.${name}.`);
}
