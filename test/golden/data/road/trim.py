"""Copies what the tests read of the RoAd numbers in DIR: python trim.py DIR

DIR was written by an independent PyTorch implementation of the paper's equations 3 and 4 (torch 2.13.0, float64, seed 0); the
blocks in PEFT's pairing were checked there against PEFT's own layer. One linear layer, and all projections of the tiny Llama.
"""
import json, sys
from safetensors import safe_open
from safetensors.numpy import save_file

for case in ["road-linear", "road-llama"]:
    name = case.removeprefix("road-")
    with safe_open(f"{sys.argv[1]}/{case}.safetensors", "np") as f:
        drop = ("permutation", "final_merged", "final_y", "input_ids", "labels", "final.theta", "final.alpha")
        keep = [k for k in f.keys() if not any(d in k for d in drop) and (name == "linear" or "merged" not in k)]
        save_file({k: f.get_tensor(k)[0] if k in ("x", "target") else f.get_tensor(k) for k in keep}, f"{name}.safetensors")
        if name == "llama":
            variants = json.load(open(f"{sys.argv[1]}/{case}.json"))["variants"]
            kept = {v: {k: x[k] for k in ("lr", "loss", "curve", "final_loss")} for v, x in variants.items()}
            json.dump(kept, open("llama.json", "w"), indent=1)
            batches = {k: f.get_tensor(k)[0].tolist() for k in ("input_ids", "labels")}
            json.dump(batches, open("llama-batches.json", "w"))
