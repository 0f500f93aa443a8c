/** @file What update rules share: the moving average of a state vector, and decoupled weight decay. */
import type { Value } from "../graph/graph.ts";
import { add, mul, sub } from "../graph/ops/pointwise/elementwise.ts";

/** Mixes old and new: β old + (1-β) new, both [P]. */
export function mix(old: Value, fresh: Value, beta: number): Value {
  const { graph } = old;
  return add(mul(old, graph.scalar(beta)), mul(fresh, graph.scalar(1 - beta)));
}

/** Shrinks a parameter [P] by decoupled weight decay: p (1 - learning rate · decay). */
export function decayed(parameter: Value, learningRate: Value, weightDecay: Value): Value {
  return mul(parameter, sub(parameter.graph.scalar(1), mul(learningRate, weightDecay)));
}
