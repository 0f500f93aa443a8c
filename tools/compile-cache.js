/**
 * @file Keeps what Node made of the sources, and takes imports by relative paths for files as they are named, as bin/graft.js does:
 * taking out the types and asking the disk are most of the start of a test file.
 */
import module from "node:module";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../node_modules/.cache/graft", import.meta.url));
module.enableCompileCache(folder);
// Processes that a test starts inherit it.
process.env.NODE_COMPILE_CACHE = folder;

const root = new URL("..", import.meta.url).href;
const isOwn = (url) => url.startsWith(root) && url.endsWith(".ts") && !url.includes("/node_modules/");
module.registerHooks({
  resolve: (name, context, next) => {
    if (!name.startsWith(".") || !context.conditions.includes("import")) return next(name, context);
    const { href: url } = new URL(name, context.parentURL);
    return { url, ...(isOwn(url) && { format: "module-typescript" }), shortCircuit: true };
  },
});
