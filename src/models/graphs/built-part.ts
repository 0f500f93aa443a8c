/** @file A part of a model, built: its graph with what it reads and gives. */
import type { Value } from "../../graph/graph.ts";
import { PartGraph } from "./part-graph.ts";
import type { PartOptions } from "./part-options.ts";

export interface BuiltPart {
  readonly part: PartGraph;
  readonly x: Value;
  readonly y: Value;
}

/** Builds a part. It does not keep the adapter that it was built for alive, as sessions keep parts with their programs. */
export function buildPart(
  options: PartOptions,
  define: (part: PartGraph) => Pick<BuiltPart, "x" | "y">,
): BuiltPart {
  const part = new PartGraph(options);
  const ends = define(part);
  part.end();
  return { part, ...ends };
}
