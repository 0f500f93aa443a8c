/**
 * @file Sign: -1, 0 or 1; its gradient is zero everywhere.
 *
 * Emitted as x / |x|, three passes on all threads: ONNX Runtime's Sign is one that takes longer, on one thread.
 */
import type { Value } from "../graph.ts";
import { applyOne } from "../op.ts";
import { unaryOp } from "./broadcast.ts";
import { mul } from "./mul.ts";

/** Below every normal number, so that 0 is divided by it and nothing else. */
const SMALLEST = 1.18e-38;

export const signOp = unaryOp(
  "sign",
  (node, emitter) => {
    const [size, divisor] = [emitter.temporary(), emitter.temporary()];
    const x = emitter.name(node.inputs[0] as Value);
    emitter.node("Abs", [x], [size]);
    emitter.node("Max", [size, emitter.scalar(SMALLEST)], [divisor]);
    emitter.node("Div", [x, divisor], [emitter.name(node.outputs[0] as Value)]);
  },
  (x, gradient) => mul(gradient, x.graph.scalar(0)),
);

/** Takes the sign element-wise. */
export function sign(x: Value): Value {
  return applyOne(signOp, [x], {});
}
