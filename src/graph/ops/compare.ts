/** @file Comparisons a > b and a = b, broadcast: 1 where they hold, else 0, in the type that is compared. No gradient. */
import { DTYPES } from "../dtype.ts";
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { type BinaryOp, binaryOp } from "./broadcast.ts";

function comparison(name: string, onnxName: string): BinaryOp {
  return {
    ...binaryOp(name, onnxName, () => {
      throw new TypeError(`internal: ${name} has no partial derivatives`);
    }),
    emit: (node, emitter) => {
      const [output] = node.outputs as [Value];
      const truth = emitter.temporary();
      emitter.node(
        onnxName,
        node.inputs.map((v) => emitter.name(v)),
        [truth],
      );
      // A cast costs a pass; choosing with Where costs twenty (docs/log.md).
      emitter.node("Cast", [truth], [emitter.name(output)], { to: DTYPES[output.dtype].onnx });
    },
    vjp: () => [null, null],
  };
}

export const greaterOp = comparison("greater", "Greater");
export const equalOp = comparison("equal", "Equal");

/** 1 where a > b, else 0, with broadcasting. */
export function greater(a: Value, b: Value): Value {
  return applyOne(greaterOp, [a, b], {});
}

/** 1 where a = b, else 0, with broadcasting. */
export function equal(a: Value, b: Value): Value {
  return applyOne(equalOp, [a, b], {});
}
