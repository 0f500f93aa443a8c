"""Makes mxfp4-gpt_oss/: the random model of ../models/gpt_oss with its experts in MXFP4 as the published models have them, and the
logits of transformers, which dequantizes them.

    Python 3.11.7, torch 2.13.0+cpu, transformers 5.24.0, gguf 0.19.0: python make_mxfp4.py
"""
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType
from gguf.quants import quantize
from safetensors.torch import load_file, save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

HERE = Path(__file__).parent
MODEL, FOLDER = HERE.parent / "models/gpt_oss", HERE / "mxfp4-gpt_oss"
IDS = [5, 9, 33, 17, 64, 2, 90, 11, 47]


def packed(stack):
    """[E, in, out] as blocks [E, out, G, 16] and scales [E, out, G]: rows of ggml's blocks, their codes in the order of the elements."""
    rows = stack.transpose(1, 2).contiguous().numpy()
    raw = quantize(rows, GGMLQuantizationType.MXFP4).reshape(*rows.shape[:2], -1, 17)
    scales, halves = raw[..., 0], raw[..., 1:]
    codes = np.concatenate([halves & 15, halves >> 4], axis=-1)
    blocks = codes[..., ::2] | (codes[..., 1::2] << 4)
    return torch.from_numpy(np.ascontiguousarray(blocks)), torch.from_numpy(np.ascontiguousarray(scales))


torch.set_num_threads(1)
inFile, dense = {}, {}
for name, tensor in load_file(MODEL / "model.safetensors").items():
    if name.endswith(("gate_up_proj", "down_proj")):
        blocks, scales = packed(tensor)
        inFile |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        dense[name] = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
        assert dense[name].shape == tensor.shape
    else:
        inFile[name] = dense[name] = tensor
FOLDER.mkdir(exist_ok=True)
save_file(inFile, FOLDER / "model.safetensors", {"format": "pt"})
# As GGUF files can say it.
config = json.loads((MODEL / "config.json").read_text()) | {"swiglu_limit": 7.0}
kept = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
config["quantization_config"] = {"modules_to_not_convert": kept, "quant_method": "mxfp4"}
(FOLDER / "config.json").write_text(json.dumps(config, indent=1) + "\n")
own = transformers.GptOssConfig.from_pretrained(MODEL, attn_implementation="eager", swiglu_limit=7.0)
model = transformers.GptOssForCausalLM(own).eval()
model.load_state_dict(dense)
with torch.no_grad():
    logits = model(torch.tensor([IDS])).logits[0]
(FOLDER / "logits.json").write_text(json.dumps({"ids": IDS, "logits": logits.tolist()}) + "\n")
