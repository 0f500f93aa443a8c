"""SNELL's mathematics in plain PyTorch, any float type: what the numbers here were computed with, in float64.

arXiv:2411.01800, equations 4 (whose i and j are swapped) and 5, and Table A6. `hard-magnitude` and `none` are what the published
code does (outputs and gradients equal its classes' to 6e-8).
"""
import math

import torch


def safe_norm(d):
    """|d| over the last axis, with gradient 0 where it is 0."""
    sq = (d * d).sum(-1)
    zero = sq == 0
    return torch.where(zero, torch.zeros_like(sq), torch.where(zero, torch.ones_like(sq), sq).sqrt())


def kernel(B, A, kind, coef):
    """dW [out, in] of B [out, r] and A [in, r]."""
    if kind == "linear":
        return B @ A.t()
    if kind == "piecewise":
        P, r = len(coef["alpha"]), B.shape[1]
        cut = [math.ceil(r * p / P) for p in range(P + 1)]
        parts = [safe_norm(B[:, None, a:b] - A[None, :, a:b]) for a, b in zip(cut, cut[1:])]
        return sum(alpha * part for alpha, part in zip(coef["alpha"], parts))
    if kind == "sigmoid":
        return coef["alpha"] / (1 + torch.exp(-coef["beta"] * (B @ A.t()))) + coef["gamma"]
    return coef["alpha"] * torch.exp(-coef["beta"] * ((B[:, None] - A[None]) ** 2).sum(-1)) + coef["gamma"]  # rbf


def threshold(dW, s):
    """The ceil(s N)-th smallest |dW|; 0 when s = 0."""
    k = math.ceil(s * dW.numel() - 1e-9)
    return dW.abs().flatten().kthvalue(k).values if k else dW.new_zeros(())


def sparsify(dW, s, mode="soft", through="threshold"):
    """dW with a share s of zeros; `through` says what soft differentiates beside dW itself."""
    if mode == "none":
        return dW
    if mode == "soft":
        t = threshold(dW, s)
        factor = torch.relu(dW.abs() - (t if through == "threshold" else t.detach()))
        return dW * (factor.detach() if through == "nothing" else factor)
    a = dW.detach().abs()
    if mode == "hard":
        return dW * (a > threshold(a, s)).to(a.dtype)
    return dW * torch.where(a > torch.quantile(a.flatten(), s), a, torch.zeros_like(a))  # hard-magnitude
