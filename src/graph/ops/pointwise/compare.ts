/** @file Comparisons a > b and a = b, broadcast: 1 where they hold, else 0, in the type of the operands. No gradient. */
import { DTYPES } from "../../dtype.ts";
import { binary } from "../../graph.ts";
import { type BinaryOp, binaryOp } from "../shapes/broadcast.ts";

function comparison(name: string, onnxName: string): BinaryOp {
  return {
    ...binaryOp(name, onnxName, () => {
      throw new TypeError(`internal: ${name} has no partial derivatives`);
    }),
    emit: (node, emitter) => {
      const truth = emitter.value(onnxName, emitter.names(node.inputs));
      // A cast costs a pass; choosing with Where costs twenty (docs/log.md#costs-of-single-operators).
      const to = DTYPES[node.outputs[0].dtype].onnx;
      emitter.node("Cast", [truth], emitter.names(node.outputs), { to });
    },
    vjp: () => [null, null],
  };
}

export const greaterOp = comparison("greater", "Greater");
export const equalOp = comparison("equal", "Equal");

/** 1 where a > b, else 0, with broadcasting. */
export const greater = binary(greaterOp);

/** 1 where a = b, else 0, with broadcasting. */
export const equal = binary(equalOp);
