/** @file A part of a model, built: its graph with what it reads and gives. */
import type { Value } from "../../graph/graph.ts";
import { PartGraph } from "./part-graph.ts";
import type { PartOptions } from "./part-options.ts";

export interface BuiltPart {
  readonly part: PartGraph;
  readonly x: Value;
  readonly y: Value;
}

/** Builds a part; who keeps it, as sessions keep programs, keeps no adapter that it was built for. */
export function buildPart(
  options: PartOptions,
  define: (part: PartGraph) => Pick<BuiltPart, "x" | "y">,
): BuiltPart {
  const part = new PartGraph(options);
  const ends = define(part);
  part.end();
  return { part, ...ends };
}
