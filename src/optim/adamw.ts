/**
 * @file AdamW: Adam with weight decay that does not go through the moments.
 *
 *   m ← β₁ m + (1-β₁) g      v ← β₂ v + (1-β₂) g²
 *   p ← p (1 - η λ) - η m̂ / (√v̂ + ε)      m̂ = m / (1-β₁ᵗ)   √v̂ = √v / √(1-β₂ᵗ)
 *
 *   p parameter  g gradient  η learning rate  λ weight decay  t step from 1
 * Paper: "Decoupled Weight Decay Regularization", arXiv:1711.05101, algorithm 2, with λ scaled by η as in PyTorch.
 */
import { z } from "zod";
import { add, div, mul, sqrt, sub } from "../graph/ops/pointwise/elementwise.ts";
import { decayed, mix } from "./moving-average.ts";
import type { Optimizer } from "./optimizer.ts";

const options = z.strictObject({
  beta1: z.number().min(0).lt(1).default(0.9).describe("decay of the running mean of gradients"),
  beta2: z.number().min(0).lt(1).default(0.999).describe("decay of the running mean of squared gradients"),
  epsilon: z.number().positive().default(1e-8).describe("added to the denominator"),
});
type AdamwOptions = z.infer<typeof options>;

export const adamw: Optimizer<AdamwOptions, "m" | "v", "meanCorrection" | "rootCorrection"> = {
  name: "adamw",
  paper: { title: "Decoupled Weight Decay Regularization", url: "https://arxiv.org/abs/1711.05101" },
  options,
  rateFactor: 1,
  slots: ["m", "v"],
  scalars: (step, { beta1, beta2 }) => ({
    meanCorrection: 1 / (1 - beta1 ** step),
    rootCorrection: 1 / Math.sqrt(1 - beta2 ** step),
  }),
  update: ({ parameter, gradient, slots, learningRate, weightDecay, scalars }, { beta1, beta2, epsilon }) => {
    const { meanCorrection, rootCorrection } = scalars;
    const m = mix(slots.m, gradient, beta1);
    const v = mix(slots.v, mul(gradient, gradient), beta2);
    const root = add(mul(sqrt(v), rootCorrection), parameter.graph.scalar(epsilon));
    const change = mul(div(m, root), mul(learningRate, meanCorrection));
    return { parameter: sub(decayed(parameter, learningRate, weightDecay), change), slots: { m, v } };
  },
};
