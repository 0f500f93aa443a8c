/** @file Dotted paths of modules and tensors, where text is the interface: names in files and what users write. */

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
