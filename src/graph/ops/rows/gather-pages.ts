/**
 * @file Concatenates pages of a pool: [N, S, ...] by int64 [B, M] gives [B, P, ...], P = M·S.
 *
 * P is a symbol of its own, so that readers of the result need not know of pages.
 */
import { applyOne, type Op, type Value } from "../../graph.ts";
import { type Dim, dimAt, showShape } from "../../shape.ts";

/** `length`: the size P of the result. */
type PagesAttributes = Readonly<Record<"length", Dim>>;

export const gatherPagesOp: Op<PagesAttributes, readonly [pool: Value, pages: Value]> = {
  name: "gatherPages",
  infer: ([pool, pages], { length }) => {
    const rest = pool.shape.slice(2);
    const isKnown = rest.every((size) => typeof size === "number");
    if (pages.dtype !== "int64" || pages.shape.length !== 2 || pool.shape.length < 2 || !isKnown) {
      throw new TypeError(
        `Cannot take pages of ${showShape(pool.shape)} by ${pages.dtype} ${showShape(pages.shape)}, expected [N, S, ...] by int64 [B, M]`,
      );
    }
    return [{ dtype: pool.dtype, shape: [dimAt(pages.shape, 0), length, ...rest] }];
  },
  emit: (node, emitter) => {
    const [pool, pages] = emitter.names(node.inputs);
    const rest = node.inputs[0].shape.slice(2) as number[];
    const gathered = emitter.value("Gather", [pool, pages], { axis: 0 });
    emitter.node("Reshape", [gathered, emitter.int64([0, -1, ...rest])], emitter.names(node.outputs));
  },
  vjp: "not-differentiable",
};

/** Takes pages of a pool, `length` positions in all. */
export function gatherPages(pool: Value, pages: Value, length: Dim): Value {
  return applyOne(gatherPagesOp, [pool, pages], { length });
}
