/**
 * @file Lion: every parameter moves by the same amount, in the direction of the sign of a momentum.
 *
 *   p ← p (1 - η λ) - η sign(β₁ m + (1-β₁) g)      m ← β₂ m + (1-β₂) g
 *
 *   p parameter  g gradient  m momentum  η learning rate  λ weight decay
 * Paper: "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675, program 1. It needs a learning rate 3 to 10 times
 * smaller than AdamW's.
 */
import { z } from "zod";
import { mul, sign, sub } from "../graph/ops/pointwise/elementwise.ts";
import { decayed, mix } from "./moving-average.ts";
import type { Optimizer } from "./optimizer.ts";

const options = z.strictObject({
  beta1: z.number().min(0).lt(1).default(0.9).describe("share of the momentum in the update direction"),
  beta2: z.number().min(0).lt(1).default(0.99).describe("decay of the momentum"),
});
type LionOptions = z.infer<typeof options>;

export const lion: Optimizer<LionOptions, "m", never> = {
  name: "lion",
  paper: { title: "Symbolic Discovery of Optimization Algorithms", url: "https://arxiv.org/abs/2302.06675" },
  options,
  rateFactor: 0.2,
  slots: ["m"],
  scalars: () => ({}),
  update: ({ parameter, gradient, slots, learningRate, weightDecay }, { beta1, beta2 }) => {
    const direction = sign(mix(slots.m, gradient, beta1));
    const kept = decayed(parameter, learningRate, weightDecay);
    return {
      parameter: sub(kept, mul(direction, learningRate)),
      slots: { m: mix(slots.m, gradient, beta2) },
    };
  },
};
