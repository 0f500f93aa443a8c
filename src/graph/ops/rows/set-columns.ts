/** @file Replaces columns: [..., N] gets [..., C] at the indices int64 [C], which are all different. */
import { applyOne, type NoAttributes, type Op, type Value } from "../../graph.ts";
import { sameShape, showShape } from "../../shape.ts";
import { gatherColumns } from "./gather-columns.ts";
import { zerosLike } from "../shapes/reduce-expand.ts";

export const setColumnsOp: Op<NoAttributes, readonly [x: Value, own: Value, columns: Value]> = {
  name: "setColumns",
  memory: "in-place",
  infer: ([{ dtype, shape }, own, columns]) => {
    const isFit =
      columns.dtype === "int64" &&
      columns.shape.length === 1 &&
      own.dtype === dtype &&
      shape.length > 0 &&
      sameShape(own.shape, [...shape.slice(0, -1), ...columns.shape]);
    if (!isFit) {
      throw new TypeError(
        `Cannot put ${own.dtype} ${showShape(own.shape)} in the place of columns of ${dtype} ${showShape(shape)} by ${columns.dtype} ${showShape(columns.shape)}`,
      );
    }
    return [{ dtype, shape }];
  },
  emit: (node, emitter) => {
    const [x, own, columns] = emitter.names(node.inputs);
    const places = emitter.value("Expand", [columns, emitter.value("Shape", [own])]);
    emitter.node("ScatterElements", [x, places, own], emitter.names(node.outputs), { axis: -1 });
  },
  vjp: ({ inputs: [, own, columns] }, [gradient]) => [
    setColumns(gradient, zerosLike(own), columns),
    gatherColumns(gradient, columns),
    null,
  ],
};

/** Replaces columns of x by `own`. */
export function setColumns(x: Value, own: Value, columns: Value): Value {
  return applyOne(setColumnsOp, [x, own, columns], {});
}
