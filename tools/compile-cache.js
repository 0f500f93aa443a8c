/** @file Keeps what Node made of the sources, as bin/graft.js does: taking out the types is most of the start of a test file. */
import module from "node:module";
import { fileURLToPath } from "node:url";

module.enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/graft", import.meta.url)));
