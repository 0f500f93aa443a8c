"""Copies what the tests read of the SNELL numbers in DIR: python trim.py DIR

DIR was written by a PyTorch program around `reference.py` (torch 2.13.0, float64, seed 0). One linear layer, y = x (W + dW^s)^T + b
with the mean of (y - target)^2 as its loss, in 17 variants; and all projections of the tiny Llama, on the batches of `../road/`.
Adam of ten steps, batch k at step k. The first outputs of the layer are computed again here.
"""
import json, sys
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from reference import kernel, sparsify

DROP = {"linear": ("init_delta", "init_merged", "final_merged", "final_y"), "llama": ("final_y", "input_ids", "labels")}
MERGED = ("k_proj", "down_proj")

for name in ["linear", "llama"]:
    case = f"{sys.argv[1]}/snell-{name}"
    variants = json.load(open(f"{case}.json"))["variants"]
    with safe_open(f"{case}.safetensors", "np") as f:
        get = lambda k: torch.from_numpy(f.get_tensor(k)).double()
        keys = [k for k in f.keys() if not any(d in k for d in DROP[name]) and ("final_merged" not in k or k.endswith(MERGED))]
        save_file({k: f.get_tensor(k) for k in keys}, f"{name}.safetensors")
        for v, o in variants.items() if name == "linear" else ():
            coef = {k: get(f"{v}/param.{k}") for k in o["coefficients"]}
            delta = kernel(get(f"{v}/param.B"), get(f"{v}/param.A"), o["kernel"], coef)
            y = get("x")[0] @ (get("weight") + sparsify(delta, o["sparsity"], o["mode"])).t() + get("bias")
            assert (y - get(f"{v}/y")).abs().max() < 1e-6, v
    for o in variants.values():
        mask = o.pop("mask")
        o["kept"] = mask["kept"] if name == "linear" else {site: m["kept"] for site, m in mask.items()}
        for key in ("rank", "r", "trainable", "grad_norm", "float32_floor", "float32_floor_of"):
            o.pop(key, None)
    json.dump(variants, open(f"{name}.json", "w"), indent=1)
