/** @file Adapters with names on the command line. */
import { basename, resolve } from "node:path";
import type { NamedAdapter } from "../../engine/adapters/held-adapter.ts";
import { UsageError } from "../../errors.ts";
import { ONE_LINE_NAME } from "../../server/one-line-name.ts";

const refused = (text: string): UsageError =>
  new UsageError("usage/flag", text, {
    hint: "Give each a name: --adapter one=FOLDER --adapter other=FOLDER.",
  });

/** Reads `NAME=FOLDER`, or a folder whose name becomes the adapter's. @throws UsageError "usage/flag" */
function readNamed(text: string): NamedAdapter {
  const place = text.indexOf("=");
  const name = place > 0 ? text.slice(0, place) : basename(resolve(text));
  const path = place > 0 ? text.slice(place + 1) : text;
  if (path === "") throw refused(`Cannot read --adapter: "${text}", expected NAME=FOLDER or a folder`);
  if (ONE_LINE_NAME.safeParse(name).success) return { name, path };
  throw refused(`Cannot use --adapter: the name is "${name}", expected a name on one line`);
}

/** Reads several adapters. @throws UsageError "usage/flag" for one without a name or folder, or when two have the same name */
export function readAllNamed(texts: readonly string[]): NamedAdapter[] {
  const adapters = texts.map(readNamed);
  const twice = adapters.find(({ name }, i) => adapters.findIndex((other) => other.name === name) < i);
  if (!twice) return adapters;
  throw refused(`Cannot use --adapter: two are named "${twice.name}", expected one`);
}
