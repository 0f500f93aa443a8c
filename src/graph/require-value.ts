/** @file Checks values that a user's own family or method builds in a graph. */
import { UsageError } from "../errors.ts";
import type { Value } from "./graph.ts";
import { type Shape, sameShape, showShape } from "./shape.ts";

/**
 * Returns `built` if it is a value of the graph of `like` with the given shape. In messages `what` stands between "Cannot use"
 * and what was found: `method "x": adapt() returns`.
 * @throws UsageError "usage/flag" for anything else
 */
export function requireValue(
  built: Value | null | undefined,
  { like: { graph }, shape }: { readonly like: Value; readonly shape: Shape },
  what: string,
): Value {
  if (built?.graph === graph && sameShape(built.shape, shape)) return built;
  const found =
    built === null || built === undefined
      ? String(built)
      : built.graph === graph
        ? showShape(built.shape)
        : "no value of the graph";
  throw new UsageError("usage/flag", `Cannot use ${what} ${found}, expected ${showShape(shape)}`, {
    hint: "Let it return a value of that shape, built of what it is given.",
  });
}
