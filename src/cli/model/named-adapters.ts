/** @file Adapters with names on the command line. */
import { basename, resolve } from "node:path";
import type { NamedAdapter } from "../../engine/adapters/held-adapter.ts";
import { UsageError } from "../../errors.ts";

/** Reads `NAME=FOLDER`, or a folder that gives the name. */
function readNamed(text: string): NamedAdapter {
  const place = text.indexOf("=");
  if (place > 0) return { name: text.slice(0, place), path: text.slice(place + 1) };
  return { name: basename(resolve(text)), path: text };
}

/** Reads several. @throws UsageError "usage/flag" when two have one name */
export function readAllNamed(texts: readonly string[]): NamedAdapter[] {
  const adapters = texts.map(readNamed);
  const twice = adapters.find(({ name }, i) => adapters.findIndex((other) => other.name === name) < i);
  if (!twice) return adapters;
  throw new UsageError("usage/flag", `Cannot use --adapter: two are named "${twice.name}", expected one`, {
    hint: "Give names: --adapter one=FOLDER --adapter other=FOLDER.",
  });
}
