/**
 * @file Stochastic gradient descent with momentum, and weight decay beside it.
 *
 *   b ← μ b + g      p ← p (1 - η λ) - η d      d = b, or g + μ b (Nesterov)
 *
 *   p parameter  g gradient  b momentum  μ its share  η learning rate  λ weight decay
 * Paper: "On the importance of initialization and momentum in deep learning", in the form that PyTorch uses; decay as in
 * "Decoupled Weight Decay Regularization", algorithm 1, so that it has the same meaning for all optimizers here. Differs from
 * PyTorch: `torch.optim.SGD` adds λ p to the gradient instead.
 */
import { z } from "zod";
import { add, mul, sub } from "../graph/ops/pointwise/elementwise.ts";
import { decayed } from "./moving-average.ts";
import type { Optimizer } from "./optimizer.ts";

const options = z
  .strictObject({
    momentum: z.number().min(0).lt(1).default(0.9).describe("decay of the momentum"),
    nesterov: z.boolean().default(false).describe("use Nesterov momentum"),
  })
  .refine(({ momentum, nesterov }) => !nesterov || momentum > 0, {
    path: ["nesterov"],
    message: "expected false, as there is no momentum",
  });
type SgdOptions = z.infer<typeof options>;

export const sgd: Optimizer<SgdOptions, "momentum", never> = {
  name: "sgd",
  paper: {
    title: "On the importance of initialization and momentum in deep learning",
    url: "https://proceedings.mlr.press/v28/sutskever13.html",
  },
  options,
  rateFactor: 100,
  slots: ["momentum"],
  scalars: () => ({}),
  update: ({ parameter, gradient, slots, learningRate, weightDecay }, { momentum, nesterov }) => {
    const share = parameter.graph.scalar(momentum);
    const b = add(mul(slots.momentum, share), gradient);
    const direction = nesterov ? add(gradient, mul(b, share)) : b;
    const kept = decayed(parameter, learningRate, weightDecay);
    return { parameter: sub(kept, mul(direction, learningRate)), slots: { momentum: b } };
  },
};
