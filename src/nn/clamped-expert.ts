/**
 * @file An expert whose gate and up projections are one matrix with alternating rows, and are clamped to a limit L:
 *
 *   y = Wdown ((u + 1) ∘ g σ(α g)) + b      g = min(rows 0, 2, 4 …, L)      u = rows 1, 3, 5 … clamped to -L … L
 *
 * Report: "gpt-oss-120b & gpt-oss-20b Model Card", arXiv:2508.10925, section 2.2, and its code.
 */
import type { Value } from "../graph/graph.ts";
import { clamp } from "../graph/ops/pointwise/clamp.ts";
import { add, mul, sigmoid } from "../graph/ops/pointwise/elementwise.ts";
import { split } from "../graph/ops/rows/split.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { dimAt, sizeAt } from "../graph/shape.ts";
import type { ExpertBuilder } from "./experts.ts";

interface ClampedOptions {
  readonly intermediateSize: number;
  readonly limit: number;
  readonly alpha: number;
}

/** Builds such experts, of x [N, D]. */
export function clampedExpert({ intermediateSize: F, limit, alpha }: ClampedOptions): ExpertBuilder {
  return (b, x, { prefix, numExperts, index }) => {
    const project = (matrix: string, of: Value, width: number, role: "gate-up" | "down"): Value =>
      b.linear(`${prefix}${index}.${matrix}`, of, width, {
        role,
        bias: true,
        stack: { name: prefix + matrix, role, numExperts, numParts: 1, index },
      });
    const N = dimAt(x.shape, 0);
    const pairs = reshape(project("gate_up_proj", x, 2 * F, "gate-up"), [N, F, 2]);
    const [gate, up] = split(pairs, 2, [1, 1]).map((half) => reshape(half, [N, F])) as [Value, Value];
    const g = clamp(gate, null, limit);
    const activated = mul(g, sigmoid(mul(g, x.graph.scalar(alpha))));
    const u = add(clamp(up, -limit, limit), x.graph.scalar(1));
    return project("down_proj", mul(u, activated), sizeAt(x.shape, -1), "down");
  };
}
