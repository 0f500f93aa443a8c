/** @file Holds what code from outside of graft builds in a graph to what is read of it: a family or method of one's own. */
import { UsageError } from "../errors.ts";
import type { Value } from "./graph.ts";
import { type Shape, sameShape, showShape } from "./shape.ts";

/**
 * Returns what was built where it is a value of the graph of `like` with a shape; `what` follows "Cannot use", and ends
 * before what was found: `method "x": adapt() returns`.
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
