/** @file Clipping of gradients by their common norm. */

/** The factor that brings a gradient of this norm down to `maxNorm`, as `torch.nn.utils.clip_grad_norm_` computes it. */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
