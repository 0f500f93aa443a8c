/** @file A built part of a model: its graph with input x and output y. */
import type { Value } from "../../graph/graph.ts";
import { PartGraph } from "./part-graph.ts";
import type { PartOptions } from "./part-options.ts";

export interface BuiltPart {
  readonly part: PartGraph;
  readonly x: Value;
  readonly y: Value;
}

/** Builds a part. The part does not keep its adapter alive, since sessions keep parts with their programs. */
export function buildPart(
  options: PartOptions,
  define: (part: PartGraph) => Pick<BuiltPart, "x" | "y">,
): BuiltPart {
  const part = new PartGraph(options);
  const ends = define(part);
  part.end();
  return { part, ...ends };
}
