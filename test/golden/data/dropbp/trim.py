"""Copies what the tests read of the DropBP numbers in DIR: python trim.py DIR

DIR was written by a PyTorch implementation after the published code (torch 2.13.0, float64, seed 0). Left out: outputs,
the curve with zeros in place of absent gradients, and gradients of single dropped branches.
"""
import json, sys
from safetensors import safe_open
from safetensors.numpy import save_file

for case, keep in {"lora": ("param", "kkkk/grad", "DkkD/grad", "kDDk/grad", "train.skip/final."), "full": ("kkkk/grad", "DDDD/grad", "DkkD/grad")}.items():
    with safe_open(f"{sys.argv[1]}/dropbp-llama-{case}.safetensors", "np") as f:
        names = [k for k in f.keys() if k.startswith(keep) or k in ("input_ids", "labels")]
        save_file({k: f.get_tensor(k) for k in names if not k.endswith("final_y")}, f"llama-{case}.safetensors")
    index = json.load(open(f"{sys.argv[1]}/dropbp-llama-{case}.json"))
    json.dump(index, open(f"llama-{case}.json", "w"), indent=None)
index = json.load(open(f"{sys.argv[1]}/dropbp-allocator.json"))
json.dump(index, open("allocator.json", "w"), indent=None)
