/** @file Finds one of a list by the name that a setting gives. */
import { showValue } from "./expected.ts";
import { UsageError } from "../errors.ts";
import { didYouMean } from "./nearest.ts";

/** Finds an item of a list by name; `kind` says what the items are. @throws UsageError "usage/flag" when there is none */
export function findNamed<T extends { readonly name: string }>(
  kind: string,
  list: readonly T[],
  name: string,
): T {
  const found = list.find((one) => one.name === name);
  if (found) return found;
  const names = list.map((one) => one.name);
  const shown = typeof name === "string" ? `"${name}"` : showValue(name);
  throw new UsageError("usage/flag", `Cannot use ${kind} ${shown}: expected one of ${names.join(", ")}`, {
    hint: (typeof name === "string" ? didYouMean(name, names) : null) ?? "Choose one of these.",
  });
}
