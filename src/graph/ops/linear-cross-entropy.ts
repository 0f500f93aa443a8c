/**
 * @file Output head and cross-entropy in one:  loss_n = -log softmax(h_n Wᵀ)[label_n].   h [N, D]  W [V, D]  label [N]
 *
 *   p = softmax(h Wᵀ)     dh = dloss ∘ (p W - W[label])     dW = (dloss ∘ p)ᵀ h - rows of (dloss ∘ h) at the labels
 *
 * The logits live only inside a program and only for the N positions it is given, so those of a batch never exist.
 * p is a second output for the gradient. A loss is at most 87.3 (p below 1e-38 counts as 1e-38).
 */
import type { Value } from "../graph.ts";
import type { Op } from "../op.ts";
import type { Dim } from "../shape.ts";
import { gatherRows } from "./gather-rows.ts";
import { matmul } from "./matmul.ts";
import { mul } from "./mul.ts";
import { scatterAddRows } from "./scatter-add-rows.ts";
import { sub } from "./sub.ts";

const SMALLEST_PROBABILITY = 1.2e-38;

export const linearCrossEntropyOp: Op<Record<string, never>> = {
  name: "linearCrossEntropy",
  infer: ([hidden, weight, labels]) => {
    const [n, d] = (hidden as Value).shape;
    if (d !== weight?.shape[1] || labels?.shape[0] !== n || labels?.dtype !== "int64") {
      throw new RangeError(
        `Cannot take the loss of hidden [${n}, ${d}] with a head of width ${weight?.shape[1]}`,
      );
    }
    const { dtype } = hidden as Value;
    return [
      { dtype, shape: [n as Dim, 1] },
      { dtype, shape: [n as Dim, weight?.shape[0] as Dim] },
    ];
  },
  emit: (node, emitter) => {
    const [hidden, weight, labels] = node.inputs.map((v) => emitter.name(v)) as [string, string, string];
    const [loss, p] = node.outputs.map((v) => emitter.name(v)) as [string, string];
    const temporary = (): string => emitter.temporary();
    const [logits, places, picked] = [temporary(), temporary(), temporary()];
    const [bounded, log] = [temporary(), temporary()];
    emitter.node("FusedMatMul", [hidden, weight], [logits], { transB: 1 }, "com.microsoft");
    emitter.node("Softmax", [logits], [p], { axis: -1 });
    emitter.node("Unsqueeze", [labels, emitter.int64([1])], [places]);
    emitter.node("GatherElements", [p, places], [picked], { axis: 1 });
    emitter.node("Max", [picked, emitter.scalar(SMALLEST_PROBABILITY)], [bounded]);
    emitter.node("Log", [bounded], [log]);
    emitter.node("Neg", [log], [loss]);
  },
  vjp: (node, [dLoss, dP]) => {
    const [hidden, weight, labels] = node.inputs as [Value, Value, Value];
    if (dP || !dLoss) throw new TypeError("Cannot differentiate linearCrossEntropy: a gradient flows into p");
    const p = node.outputs[1] as Value;
    const dHidden = mul(dLoss, sub(matmul(p, weight), gatherRows(weight, labels)));
    const scaled = mul(dLoss, hidden); // [N, D]
    const dWeight = sub(matmul(p, scaled, { transA: true }), scatterAddRows(scaled, labels, weight));
    return [dHidden, dWeight, null];
  },
};

/** Loss of each position: hidden [N, D], weight [V, D], labels int64 [N] give [N, 1]. */
export function linearCrossEntropy(hidden: Value, weight: Value, labels: Value): Value {
  return hidden.graph.apply(linearCrossEntropyOp, [hidden, weight, labels], {})[0] as Value;
}
