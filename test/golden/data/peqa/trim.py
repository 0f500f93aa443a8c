"""Copies what the tests read of the PEQA numbers in DIR: python trim.py DIR

DIR was written by an independent PyTorch implementation of the paper's equations (torch 2.13.0, float64, seed 0).
Left out: codes one a byte and in other layouts (packed_dense has the same ones), merged weights but for three bits.
"""
import json, sys
from safetensors import safe_open
from safetensors.numpy import save_file

for case in ["peqa-linear", "peqa-edge", "peqa-llama"]:
    with safe_open(f"{sys.argv[1]}/{case}.safetensors", "np") as f:
        drop = ("words", "packed_zero", "codes") if case != "peqa-edge" else ("words", "packed_zero")
        keep = [k for k in f.keys() if not any(d in k for d in drop) and not ("merged" in k and "b3.g32.clip" not in k)]
        save_file({k: f.get_tensor(k) for k in keep}, case.removeprefix("peqa-") + ".safetensors")
    index = json.load(open(f"{sys.argv[1]}/{case}.json"))
    for v in index["variants"].values():
        for key in ("error", "margins", "float32_floor"):
            v.pop(key, None)
    json.dump(index, open(case.removeprefix("peqa-") + ".json", "w"), indent=1)
