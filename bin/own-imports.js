/** @file Takes imports by relative paths for files as they are named: Node need not ask the disk what each is, nor, of own files, of which package. */
import module from "node:module";

/** `isOwn`: whether a file, by its URL, is of the format. */
export function registerOwnImports(isOwn, format) {
  module.registerHooks?.({
    resolve: (name, context, next) => {
      if (!name.startsWith(".") || !context.conditions.includes("import")) return next(name, context);
      const { href: url } = new URL(name, context.parentURL);
      return { url, ...(isOwn(url) && { format }), shortCircuit: true };
    },
  });
}
